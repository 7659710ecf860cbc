//! State of the pickle machine: every value made so far, the stack with its marks, and the memo.
//!
//! Text is borrowed from the pickle. Everything else that is stored counts towards one limit: values, members of lists and
//! dictionaries, and entries of the stack and of the memo. Nothing is subtracted when it is removed again, so the limit bounds
//! the time as well.

use std::collections::HashMap;

use super::cursor::{Cursor, PickleResult};
use crate::checkpoint::limits::MAX_PICKLE_ITEMS;

/// Index of a value in the machine's list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ValueId(u32);

/// A value of the pickle. Only what state dicts consist of is kept.
#[derive(Debug)]
pub(super) enum Value<'a> {
    /// None, a Boolean, a float, bytes, text that is not UTF-8, a set or an object: the content does not matter.
    Opaque,
    Int(i64),
    Text(&'a str),
    /// A tuple or list.
    Items(Vec<ValueId>),
    Dict(Vec<(ValueId, ValueId)>),
    /// A class or function.
    Global {
        module: &'a str,
        name: &'a str,
    },
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
    /// What has been stored so far; see the top of the file.
    items: usize,
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
            items: 0,
            stack: Vec::new(),
            marks: Vec::new(),
            memo: HashMap::new(),
        }
    }

    pub(super) fn value(&self, id: ValueId) -> Option<&Value<'a>> {
        self.values.get(id.0 as usize)
    }

    /// All values made so far.
    pub(super) fn values(&self) -> &[Value<'a>] {
        &self.values
    }

    /// The content of a string.
    pub(super) fn text(&self, id: ValueId) -> Option<&'a str> {
        match self.value(id) {
            Some(Value::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// Module and name of a class or function.
    pub(super) fn global(&self, id: ValueId) -> Option<(&'a str, &'a str)> {
        match self.value(id) {
            Some(Value::Global { module, name }) => Some((module, name)),
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

    /// Counts items before they are stored or visited.
    pub(super) fn count(&mut self, items: usize) -> PickleResult {
        self.items = self.items.saturating_add(items);
        if self.items > MAX_PICKLE_ITEMS {
            return Err(format!("more than {MAX_PICKLE_ITEMS} values and references to values"));
        }
        Ok(())
    }

    /// Creates a value and pushes it.
    pub(super) fn push(&mut self, value: Value<'a>) -> PickleResult {
        self.push_id(ValueId(self.values.len() as u32))?;
        self.values.push(value);
        Ok(())
    }

    /// Pushes a value that exists already.
    pub(super) fn push_id(&mut self, id: ValueId) -> PickleResult {
        self.count(1)?;
        self.stack.push(id);
        Ok(())
    }

    pub(super) fn mark(&mut self) -> PickleResult {
        self.count(1)?;
        self.marks.push(self.stack.len());
        Ok(())
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

    /// Removes the last mark and everything above it, which it returns.
    pub(super) fn pop_to_mark(&mut self) -> PickleResult<Vec<ValueId>> {
        let mark = self.marks.pop().ok_or("a mark is missing on the stack")?;
        let mark = mark.min(self.stack.len());
        self.count(self.stack.len() - mark)?;
        Ok(self.stack.drain(mark..).collect())
    }

    /// Appends to the list on top of the stack.
    pub(super) fn append(&mut self, items: &[ValueId]) -> PickleResult {
        self.count(items.len())?;
        let list = self.top()?;
        if let Some(Value::Items(list)) = self.values.get_mut(list.0 as usize) {
            list.extend_from_slice(items);
        }
        Ok(())
    }

    /// Adds entries, given as alternating keys and values, to the dictionary on top of the stack.
    pub(super) fn set_items(&mut self, items: &[ValueId]) -> PickleResult {
        self.count(items.len())?;
        let dict = self.top()?;
        match self.values.get_mut(dict.0 as usize) {
            Some(Value::Dict(entries)) => entries.extend(pairs(items)),
            // An object with items is a subclass of a dictionary.
            Some(value @ Value::Opaque) => *value = Value::Dict(pairs(items).collect()),
            _ => {}
        }
        Ok(())
    }

    /// Stores the top of the stack in the memo.
    pub(super) fn memo_put(&mut self, key: u64) -> PickleResult {
        self.count(1)?;
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
        self.push_id(id)
    }
}

/// Alternating keys and values, as entries.
pub(super) fn pairs(items: &[ValueId]) -> impl ExactSizeIterator<Item = (ValueId, ValueId)> {
    items.as_chunks().0.iter().map(|[key, value]| (*key, *value))
}
