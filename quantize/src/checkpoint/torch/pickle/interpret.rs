//! The interpreter's loop. Each group of instructions has a function, which returns whether it knew the instruction.

use super::cursor::PickleResult;
use super::machine::{Machine, Value, ValueId, pairs};
use super::opcodes::*;

/// Runs a pickle up to its STOP instruction. Returns the machine, which owns all values, and the result.
pub(super) fn run(bytes: &[u8]) -> PickleResult<(Machine<'_>, ValueId)> {
    let mut machine = Machine::new(bytes);
    loop {
        let start = machine.cursor.position();
        let code = machine.cursor.byte()?;
        if code == STOP {
            let root = machine.pop()?;
            return Ok((machine, root));
        }
        machine.step(code).map_err(|what| format!("its pickle at byte {start}: {what}"))?;
    }
}

impl<'a> Machine<'a> {
    fn step(&mut self, code: u8) -> PickleResult {
        let known = self.framing(code)?
            || self.stack_operation(code)?
            || self.scalar(code)?
            || self.text_or_bytes(code)?
            || self.sequence(code)?
            || self.dict_or_set(code)?
            || self.memo_operation(code)?
            || self.object(code)?;
        if known {
            Ok(())
        } else {
            Err(format!("unknown instruction {code:#04x}; torch.save does not write it"))
        }
    }

    fn framing(&mut self, code: u8) -> PickleResult<bool> {
        match code {
            PROTO => {
                let version = self.cursor.byte()?;
                if version > 5 {
                    return Err(format!("protocol {version}; expected at most 5"));
                }
            }
            FRAME => self.skip(8)?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn stack_operation(&mut self, code: u8) -> PickleResult<bool> {
        match code {
            MARK => self.mark()?,
            POP => self.pop().map(drop)?,
            POP_MARK => self.pop_to_mark().map(drop)?,
            DUP => {
                let top = self.top()?;
                self.push_id(top)?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Constants and numbers.
    fn scalar(&mut self, code: u8) -> PickleResult<bool> {
        let value = match code {
            NONE | NEWTRUE | NEWFALSE => Value::Opaque,
            BININT => Value::Int(self.cursor.signed(4)?),
            BININT1 => Value::Int(self.cursor.unsigned(1)? as i64),
            BININT2 => Value::Int(self.cursor.unsigned(2)? as i64),
            INT | LONG => {
                let line = self.cursor.line()?;
                line.strip_suffix('L').unwrap_or(line).parse().map_or(Value::Opaque, Value::Int)
            }
            LONG1 | LONG4 => {
                let length = self.cursor.unsigned(if code == LONG1 { 1 } else { 4 })?;
                if length <= 8 {
                    Value::Int(self.cursor.signed(length as usize)?)
                } else {
                    self.skip(length)?;
                    Value::Opaque
                }
            }
            FLOAT => {
                self.cursor.line()?;
                Value::Opaque
            }
            BINFLOAT => {
                self.skip(8)?;
                Value::Opaque
            }
            _ => return Ok(false),
        };
        self.push(value).map(|()| true)
    }

    fn text_or_bytes(&mut self, code: u8) -> PickleResult<bool> {
        let value = match code {
            BINUNICODE | BINSTRING => self.counted_text(4)?,
            SHORT_BINUNICODE | SHORT_BINSTRING => self.counted_text(1)?,
            BINUNICODE8 => self.counted_text(8)?,
            UNICODE => Value::Text(self.cursor.line()?),
            STRING => Value::Text(self.cursor.line()?.trim_matches(['\'', '"'])),
            SHORT_BINBYTES => self.counted_bytes(1)?,
            BINBYTES => self.counted_bytes(4)?,
            BINBYTES8 | BYTEARRAY8 => self.counted_bytes(8)?,
            _ => return Ok(false),
        };
        self.push(value).map(|()| true)
    }

    /// Tuples and lists.
    fn sequence(&mut self, code: u8) -> PickleResult<bool> {
        match code {
            EMPTY_TUPLE | EMPTY_LIST => self.push(Value::Items(Vec::new()))?,
            TUPLE | LIST => {
                let items = self.pop_to_mark()?;
                self.push(Value::Items(items))?;
            }
            TUPLE1..=TUPLE3 => {
                let mut items = vec![self.top()?; usize::from(code - TUPLE1) + 1];
                for item in items.iter_mut().rev() {
                    *item = self.pop()?;
                }
                self.count(items.len())?;
                self.push(Value::Items(items))?;
            }
            APPEND => {
                let item = self.pop()?;
                self.append(&[item])?;
            }
            APPENDS => {
                let items = self.pop_to_mark()?;
                self.append(&items)?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn dict_or_set(&mut self, code: u8) -> PickleResult<bool> {
        match code {
            EMPTY_DICT => self.push(Value::Dict(Vec::new()))?,
            DICT => {
                let items = self.pop_to_mark()?;
                self.push(Value::Dict(pairs(&items).collect()))?;
            }
            SETITEM => {
                let value = self.pop()?;
                let key = self.pop()?;
                self.set_items(&[key, value])?;
            }
            SETITEMS => {
                let items = self.pop_to_mark()?;
                self.set_items(&items)?;
            }
            EMPTY_SET => self.push(Value::Opaque)?,
            ADDITEMS => self.pop_to_mark().map(drop)?,
            FROZENSET => {
                self.pop_to_mark()?;
                self.push(Value::Opaque)?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn memo_operation(&mut self, code: u8) -> PickleResult<bool> {
        match code {
            BINPUT | LONG_BINPUT => {
                let key = self.cursor.unsigned(if code == BINPUT { 1 } else { 4 })?;
                self.memo_put(key)?;
            }
            PUT => {
                let key = self.memo_key()?;
                self.memo_put(key)?;
            }
            MEMOIZE => self.memoize()?,
            BINGET | LONG_BINGET => {
                let key = self.cursor.unsigned(if code == BINGET { 1 } else { 4 })?;
                self.memo_get(key)?;
            }
            GET => {
                let key = self.memo_key()?;
                self.memo_get(key)?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Classes, instances and calls.
    fn object(&mut self, code: u8) -> PickleResult<bool> {
        match code {
            GLOBAL => {
                let (module, name) = (self.cursor.line()?, self.cursor.line()?);
                self.push(Value::Global { module, name })?;
            }
            STACK_GLOBAL => self.stack_global()?,
            REDUCE | NEWOBJ => {
                let arguments = self.pop()?;
                let function = self.pop()?;
                self.call(function, arguments)?;
            }
            NEWOBJ_EX => {
                for _ in 0..3 {
                    self.pop()?;
                }
                self.push(Value::Opaque)?;
            }
            INST => {
                self.cursor.line()?;
                self.cursor.line()?;
                self.pop_to_mark()?;
                self.push(Value::Opaque)?;
            }
            OBJ => {
                self.pop_to_mark()?;
                self.push(Value::Opaque)?;
            }
            // Sets an object's state, which does not matter here.
            BUILD => self.pop().map(drop)?,
            BINPERSID => {
                let id = self.pop()?;
                self.load_persistent(id)?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn stack_global(&mut self) -> PickleResult {
        let (name, module) = (self.pop()?, self.pop()?);
        let (Some(name), Some(module)) = (self.text(name), self.text(module)) else {
            return Err("a class without a name".into());
        };
        self.push(Value::Global { module, name })
    }

    fn skip(&mut self, length: u64) -> PickleResult {
        self.cursor.take(length).map(drop)
    }

    /// A string after a length of `width` bytes. All names that matter are UTF-8.
    fn counted_text(&mut self, width: usize) -> PickleResult<Value<'a>> {
        let length = self.cursor.unsigned(width)?;
        let text = std::str::from_utf8(self.cursor.take(length)?);
        Ok(text.map_or(Value::Opaque, Value::Text))
    }

    /// Bytes after a length of `width` bytes; their content does not matter.
    fn counted_bytes(&mut self, width: usize) -> PickleResult<Value<'a>> {
        let length = self.cursor.unsigned(width)?;
        self.skip(length)?;
        Ok(Value::Opaque)
    }

    fn memo_key(&mut self) -> PickleResult<u64> {
        self.cursor.line()?.parse().map_err(|_| "memo key: expected a number".to_string())
    }
}
