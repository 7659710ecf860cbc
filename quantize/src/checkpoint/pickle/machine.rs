//! The stack machine a pickle is written for.

use std::borrow::Cow;
use std::collections::HashMap;

use super::bytes::{Bytes, Step};

/// The most values a pickle may make, and the most entries it may copy.
const VALUES: usize = 4_000_000;

/// The position of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Id(u32);

/// A value.
#[derive(Debug)]
pub(super) enum Node<'a> {
    /// None, floats, sets, instances: nothing in it matters here.
    Inert,
    Int(i64),
    Text(Cow<'a, str>),
    /// A tuple or list.
    Items(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    /// A class or function: module, dot, name.
    Global(Cow<'a, str>),
    /// Part of the archive with a tensor's values: the class's name and the part's.
    Storage {
        class: Id,
        key: Id,
    },
    Tensor {
        storage: Id,
        offset: Id,
        shape: Id,
        strides: Id,
    },
}

/// The machine's state: all values made, the stack, its marks and the memo.
pub(super) struct Machine<'a> {
    bytes: Bytes<'a>,
    nodes: Vec<Node<'a>>,
    copied: usize,
    stack: Vec<Id>,
    marks: Vec<usize>,
    memo: HashMap<u64, Id>,
}

impl<'a> Machine<'a> {
    /// Runs a pickle to its end: the machine with all values, and which one is the result.
    pub(super) fn run(bytes: &'a [u8]) -> Step<(Machine<'a>, Id)> {
        let mut machine = Machine {
            bytes: Bytes::new(bytes),
            nodes: Vec::new(),
            copied: 0,
            stack: Vec::new(),
            marks: Vec::new(),
            memo: HashMap::new(),
        };
        loop {
            let start = machine.bytes.place();
            let code = machine.bytes.byte()?;
            if code == b'.' {
                let root = machine.pop()?;
                return Ok((machine, root));
            }
            machine.step(code).map_err(|what| format!("its pickle at byte {start}: {what}"))?;
        }
    }

    pub(super) fn node(&self, id: Id) -> Option<&Node<'a>> {
        self.nodes.get(id.0 as usize)
    }

    /// The content of a string, or the name of a class.
    pub(super) fn text(&self, id: Id) -> Option<&str> {
        match self.node(id) {
            Some(Node::Text(text) | Node::Global(text)) => Some(text),
            _ => None,
        }
    }

    /// The members of a tuple or list.
    pub(super) fn items(&self, id: Id) -> Option<&[Id]> {
        match self.node(id) {
            Some(Node::Items(items)) => Some(items),
            _ => None,
        }
    }

    fn step(&mut self, code: u8) -> Step {
        match code {
            // Framing and protocol.
            0x80 => match self.bytes.byte()? {
                0..=5 => Ok(()),
                version => Err(format!("protocol {version}; expected at most 5")),
            },
            0x95 => self.bytes.take(8).map(drop),
            // The stack.
            b'(' => {
                self.marks.push(self.stack.len());
                Ok(())
            }
            b'0' => self.pop().map(drop),
            b'1' => self.popped_to_mark().map(drop),
            b'2' => {
                let top = self.top()?;
                self.stack.push(top);
                Ok(())
            }
            // Numbers, constants, sets.
            b'N' | 0x88 | 0x89 | 0x8f => self.push(Node::Inert),
            b'J' => {
                let value = self.bytes.signed(4)?;
                self.push(Node::Int(value))
            }
            b'K' | b'M' => {
                let value = self.bytes.unsigned(if code == b'K' { 1 } else { 2 })?;
                self.push(Node::Int(value as i64))
            }
            b'I' | b'L' => {
                let line = self.bytes.line()?;
                let value = line.strip_suffix('L').unwrap_or(line).parse().map_or(Node::Inert, Node::Int);
                self.push(value)
            }
            0x8a | 0x8b => {
                let length = self.bytes.unsigned(if code == 0x8a { 1 } else { 4 })?;
                let value = if length <= 8 {
                    Node::Int(self.bytes.signed(length as usize)?)
                } else {
                    self.bytes.take(length)?;
                    Node::Inert
                };
                self.push(value)
            }
            b'F' => {
                self.bytes.line()?;
                self.push(Node::Inert)
            }
            b'G' => {
                self.bytes.take(8)?;
                self.push(Node::Inert)
            }
            // Strings and bytes.
            b'X' | b'T' => self.string(4),
            0x8c | b'U' => self.string(1),
            0x8d => self.string(8),
            b'V' => {
                let line = self.bytes.line()?;
                self.push(Node::Text(line.into()))
            }
            b'S' => {
                let line = self.bytes.line()?.trim_matches(['\'', '"']);
                self.push(Node::Text(line.into()))
            }
            b'C' | b'B' | 0x8e | 0x96 => {
                let length = self.bytes.unsigned(match code {
                    b'C' => 1,
                    b'B' => 4,
                    _ => 8,
                })?;
                self.bytes.take(length)?;
                self.push(Node::Inert)
            }
            // Tuples, lists, dicts.
            b')' | b']' => self.push(Node::Items(Vec::new())),
            b't' | b'l' => {
                let items = self.popped_to_mark()?;
                self.push(Node::Items(items))
            }
            0x85..=0x87 => {
                let mut items = Vec::new();
                for _ in 0..=code - 0x85 {
                    items.push(self.pop()?);
                }
                items.reverse();
                self.push(Node::Items(items))
            }
            b'a' => {
                let item = self.pop()?;
                self.append(vec![item])
            }
            b'e' => {
                let items = self.popped_to_mark()?;
                self.append(items)
            }
            b'}' => self.push(Node::Dict(Vec::new())),
            b'd' => {
                let items = self.popped_to_mark()?;
                self.push(Node::Dict(pairs(&items)))
            }
            b's' => {
                let value = self.pop()?;
                let key = self.pop()?;
                self.set(&[key, value])
            }
            b'u' => {
                let items = self.popped_to_mark()?;
                self.set(&items)
            }
            0x90 => self.popped_to_mark().map(drop),
            0x91 | b'o' => {
                self.popped_to_mark()?;
                self.push(Node::Inert)
            }
            // The memo.
            b'q' => self.put(1),
            b'r' => self.put(4),
            b'h' => self.get(1),
            b'j' => self.get(4),
            b'p' => {
                let key =
                    self.bytes.line()?.parse().map_err(|_| "memo key: expected a number".to_string())?;
                self.remember(key)
            }
            b'g' => {
                let key =
                    self.bytes.line()?.parse().map_err(|_| "memo key: expected a number".to_string())?;
                self.recall(key)
            }
            0x94 => self.remember(self.memo.len() as u64),
            // Classes and objects.
            b'c' => {
                let global = format!("{}.{}", self.bytes.line()?, self.bytes.line()?);
                self.push(Node::Global(global.into()))
            }
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                let (Some(name), Some(module)) = (self.text(name), self.text(module)) else {
                    return Err("a class without a name".into());
                };
                // A short name is one of those that matter; no long one does.
                let global =
                    if name.len() + module.len() > 256 { String::new() } else { format!("{module}.{name}") };
                self.push(Node::Global(global.into()))
            }
            b'R' | 0x81 => {
                let arguments = self.pop()?;
                let function = self.pop()?;
                self.call(function, arguments)
            }
            0x92 => {
                for _ in 0..3 {
                    self.pop()?;
                }
                self.push(Node::Inert)
            }
            b'i' => {
                self.bytes.line()?;
                self.bytes.line()?;
                self.popped_to_mark()?;
                self.push(Node::Inert)
            }
            b'b' => self.pop().map(drop),
            b'Q' => {
                let id = self.pop()?;
                self.persistent(id)
            }
            code => Err(format!("instruction {code:#04x}, which torch.save does not write")),
        }
    }

    /// What calling a function gives, as far as tensors and dicts are concerned.
    fn call(&mut self, function: Id, arguments: Id) -> Step {
        let name = self.text(function).unwrap_or("");
        let arguments = self.items(arguments).unwrap_or(&[]);
        match (name, arguments) {
            (
                "torch._utils._rebuild_tensor_v2"
                | "torch._utils._rebuild_tensor"
                | "torch._utils._rebuild_tensor_v3",
                &[storage, offset, shape, strides, ..],
            ) if matches!(self.node(storage), Some(Node::Storage { .. })) => {
                self.push(Node::Tensor { storage, offset, shape, strides })
            }
            (
                "torch._utils._rebuild_parameter" | "torch._utils._rebuild_parameter_with_state",
                &[tensor, ..],
            ) => {
                self.stack.push(tensor);
                Ok(())
            }
            ("torch._tensor._rebuild_from_type_v2", &[inner, _, inner_arguments, ..])
                if self.text(inner) != Some("torch._tensor._rebuild_from_type_v2") =>
            {
                self.call(inner, inner_arguments)
            }
            ("collections.OrderedDict" | "builtins.dict" | "__builtin__.dict", &[content]) => {
                let entries: Vec<(Id, Id)> = match self.node(content) {
                    Some(Node::Dict(entries)) => entries.clone(),
                    Some(Node::Items(items)) => items
                        .iter()
                        .filter_map(|item| match self.items(*item) {
                            Some(&[key, value]) => Some((key, value)),
                            _ => None,
                        })
                        .collect(),
                    _ => Vec::new(),
                };
                self.copied += entries.len();
                self.push(Node::Dict(entries))
            }
            (
                "collections.OrderedDict" | "collections.defaultdict" | "builtins.dict" | "__builtin__.dict",
                _,
            ) => self.push(Node::Dict(Vec::new())),
            _ => self.push(Node::Inert),
        }
    }

    /// `('storage', class, key, place, length)`.
    fn persistent(&mut self, id: Id) -> Step {
        match self.items(id) {
            Some(&[kind, class, key, ..]) if self.text(kind) == Some("storage") => {
                self.push(Node::Storage { class, key })
            }
            _ => Err("a persistent object that is no tensor storage".into()),
        }
    }

    fn append(&mut self, items: Vec<Id>) -> Step {
        let list = self.top()?;
        if let Some(Node::Items(list)) = self.nodes.get_mut(list.0 as usize) {
            list.extend(items);
        }
        Ok(())
    }

    fn set(&mut self, items: &[Id]) -> Step {
        let dict = self.top()?;
        if let Some(Node::Dict(entries)) = self.nodes.get_mut(dict.0 as usize) {
            entries.extend(pairs(items));
        }
        Ok(())
    }

    fn push(&mut self, node: Node<'a>) -> Step {
        if self.nodes.len() + self.copied >= VALUES {
            return Err(format!("more than {VALUES} values"));
        }
        self.stack.push(Id(self.nodes.len() as u32));
        self.nodes.push(node);
        Ok(())
    }

    /// Where the values above the last mark begin.
    fn floor(&self) -> usize {
        self.marks.last().copied().unwrap_or(0)
    }

    fn top(&self) -> Step<Id> {
        match self.stack.last() {
            Some(id) if self.stack.len() > self.floor() => Ok(*id),
            _ => Err("a value is missing on the stack".into()),
        }
    }

    fn pop(&mut self) -> Step<Id> {
        let id = self.top()?;
        self.stack.pop();
        Ok(id)
    }

    fn popped_to_mark(&mut self) -> Step<Vec<Id>> {
        let mark = self.marks.pop().ok_or("a mark is missing on the stack")?;
        Ok(self.stack.split_off(mark.min(self.stack.len())))
    }

    fn put(&mut self, width: usize) -> Step {
        self.bytes.unsigned(width).and_then(|key| self.remember(key))
    }

    fn get(&mut self, width: usize) -> Step {
        self.bytes.unsigned(width).and_then(|key| self.recall(key))
    }

    fn remember(&mut self, key: u64) -> Step {
        let top = self.top()?;
        self.memo.insert(key, top);
        Ok(())
    }

    fn recall(&mut self, key: u64) -> Step {
        let id = *self.memo.get(&key).ok_or_else(|| format!("memo {key}, which is not set"))?;
        self.stack.push(id);
        Ok(())
    }

    fn string(&mut self, width: usize) -> Step {
        let length = self.bytes.unsigned(width)?;
        let text = String::from_utf8_lossy(self.bytes.take(length)?);
        self.push(Node::Text(text))
    }
}

fn pairs(items: &[Id]) -> Vec<(Id, Id)> {
    items.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect()
}
