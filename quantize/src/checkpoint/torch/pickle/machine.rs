//! State of the pickle machine: every value made so far, the stack with its marks, and the memo.

use std::borrow::Cow;
use std::collections::HashMap;

use super::cursor::{Cursor, PickleResult};

/// Upper bound on the number of values a pickle may create, counting copied dictionary entries.
const MAX_VALUES: usize = 4_000_000;

/// Index of a value in the machine's list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ValueId(u32);

/// A value of the pickle. Only what state dicts consist of is kept.
#[derive(Debug)]
pub(super) enum Value<'a> {
    /// None, a Boolean, a float, bytes, a set or an object whose content does not matter.
    Opaque,
    Int(i64),
    Text(Cow<'a, str>),
    /// A tuple or list.
    Items(Vec<ValueId>),
    Dict(Vec<(ValueId, ValueId)>),
    /// A class or function, as `module.name`.
    Global(Cow<'a, str>),
    /// A tensor's storage: its class and the name of the archive's entry with the values.
    Storage {
        class: ValueId,
        key: ValueId,
    },
    Tensor {
        storage: ValueId,
        offset: ValueId,
        shape: ValueId,
        strides: ValueId,
    },
}

/// The machine.
pub(super) struct Machine<'a> {
    pub(super) cursor: Cursor<'a>,
    values: Vec<Value<'a>>,
    /// Dictionary entries copied from other values.
    copied: usize,
    stack: Vec<ValueId>,
    /// Stack heights at which MARK was executed.
    marks: Vec<usize>,
    memo: HashMap<u64, ValueId>,
}

impl<'a> Machine<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Machine<'a> {
        Machine {
            cursor: Cursor::new(bytes),
            values: Vec::new(),
            copied: 0,
            stack: Vec::new(),
            marks: Vec::new(),
            memo: HashMap::new(),
        }
    }

    pub(super) fn value(&self, id: ValueId) -> Option<&Value<'a>> {
        self.values.get(id.0 as usize)
    }

    /// The content of a string, or the name of a class.
    pub(super) fn text(&self, id: ValueId) -> Option<&str> {
        match self.value(id) {
            Some(Value::Text(text) | Value::Global(text)) => Some(text),
            _ => None,
        }
    }

    /// The members of a tuple or list.
    pub(super) fn items(&self, id: ValueId) -> Option<&[ValueId]> {
        match self.value(id) {
            Some(Value::Items(items)) => Some(items),
            _ => None,
        }
    }

    /// Creates a value and pushes it.
    pub(super) fn push(&mut self, value: Value<'a>) -> PickleResult {
        if self.values.len() + self.copied >= MAX_VALUES {
            return Err(format!("more than {MAX_VALUES} values"));
        }
        self.stack.push(ValueId(self.values.len() as u32));
        self.values.push(value);
        Ok(())
    }

    /// Creates and pushes a dictionary whose entries come from another value; they count towards the limit.
    pub(super) fn push_dict_copy(&mut self, entries: Vec<(ValueId, ValueId)>) -> PickleResult {
        self.copied += entries.len();
        self.push(Value::Dict(entries))
    }

    /// Pushes a value that exists already.
    pub(super) fn push_id(&mut self, id: ValueId) {
        self.stack.push(id);
    }

    pub(super) fn mark(&mut self) {
        self.marks.push(self.stack.len());
    }

    /// The topmost value above the last mark.
    pub(super) fn top(&self) -> PickleResult<ValueId> {
        let floor = self.marks.last().copied().unwrap_or(0);
        match self.stack.last() {
            Some(id) if self.stack.len() > floor => Ok(*id),
            _ => Err("a value is missing on the stack".into()),
        }
    }

    pub(super) fn pop(&mut self) -> PickleResult<ValueId> {
        let id = self.top()?;
        self.stack.pop();
        Ok(id)
    }

    /// Removes the last mark and everything above it.
    pub(super) fn pop_to_mark(&mut self) -> PickleResult<Vec<ValueId>> {
        let mark = self.marks.pop().ok_or("a mark is missing on the stack")?;
        Ok(self.stack.split_off(mark.min(self.stack.len())))
    }

    /// Appends to the list on top of the stack.
    pub(super) fn append(&mut self, items: Vec<ValueId>) -> PickleResult {
        let list = self.top()?;
        if let Some(Value::Items(list)) = self.values.get_mut(list.0 as usize) {
            list.extend(items);
        }
        Ok(())
    }

    /// Adds entries, given as alternating keys and values, to the dictionary on top of the stack.
    pub(super) fn set_items(&mut self, items: &[ValueId]) -> PickleResult {
        let dict = self.top()?;
        if let Some(Value::Dict(entries)) = self.values.get_mut(dict.0 as usize) {
            entries.extend(pairs(items));
        }
        Ok(())
    }

    /// Stores the top of the stack in the memo.
    pub(super) fn memo_put(&mut self, key: u64) -> PickleResult {
        let top = self.top()?;
        self.memo.insert(key, top);
        Ok(())
    }

    /// Stores the top of the stack under the next free key of the memo.
    pub(super) fn memoize(&mut self) -> PickleResult {
        self.memo_put(self.memo.len() as u64)
    }

    /// Pushes a value of the memo.
    pub(super) fn memo_get(&mut self, key: u64) -> PickleResult {
        let id = *self.memo.get(&key).ok_or_else(|| format!("memo {key} is not set"))?;
        self.stack.push(id);
        Ok(())
    }
}

/// Alternating keys and values, as entries.
pub(super) fn pairs(items: &[ValueId]) -> Vec<(ValueId, ValueId)> {
    items.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect()
}
