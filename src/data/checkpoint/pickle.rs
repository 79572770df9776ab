//! A pickle machine that runs nothing: it builds plain values. What a global that it does not know would have made is kept as
//! an object of that name. Knows no files: bytes in, values out.
//!
//! Opcodes: <https://github.com/python/cpython/blob/main/Lib/pickletools.py>. Values lie in one flat list and refer to each
//! other by index, so neither depth nor cycles cost anything, and no opcode makes more than the bytes it was given.

use super::globals::{Global, does_something};
use super::value::{Foreign, Id, Object, Storage, Value, View};
use crate::{Error, ErrorKind, Result};
use std::collections::HashMap;

/// Most values in a pickle; a checkpoint of a thousand tensors has about twenty thousand.
const MAX_VALUES: usize = 1 << 20;

/// What a pickle holds.
pub(super) struct Pickle<'a> {
    /// What errors call it.
    pub place: String,
    /// Every value made on the way.
    pub values: Vec<Value<'a>>,
    /// Globals that are not on the list, in the order of the file.
    pub foreign: Vec<Foreign<'a>>,
    /// The object that was pickled.
    pub root: Id,
    /// The first byte after it.
    pub end: usize,
}

impl<'a> Pickle<'a> {
    /// Reads the pickle that begins at `start`. `place` stands in errors, before the position.
    pub fn read(place: &str, bytes: &'a [u8], start: usize) -> Result<Self> {
        let mut machine = Machine {
            place,
            bytes,
            at: start,
            op_at: start,
            values: Vec::new(),
            foreign: Vec::new(),
            stack: Vec::new(),
            marks: Vec::new(),
            memo: HashMap::new(),
            copied: 0,
        };
        let root = loop {
            if let Some(root) = machine.step()? {
                break root;
            }
        };
        let (end, place) = (machine.at, place.to_string());
        Ok(Pickle { place, values: machine.values, foreign: machine.foreign, root, end })
    }

    /// The value at `id`; ids come from this pickle only.
    pub fn get(&self, id: Id) -> &Value<'a> {
        &self.values[id as usize]
    }

    /// What a tensor looks at, and the name of the whole storage.
    pub fn storage(&self, view: &View) -> (Storage, &'a str) {
        match *self.get(view.storage) {
            Value::Storage(s) => (s, self.text(s.key).expect("checked when the storage was made")),
            _ => unreachable!("checked when the tensor was made"),
        }
    }

    /// The entries at `id` if it is a dictionary, or an object that holds entries as one does.
    pub fn entries(&self, id: Id) -> Option<&[(Id, Id)]> {
        match self.get(id) {
            Value::Dict(entries) => Some(entries),
            Value::Object(object) if !object.entries.is_empty() => Some(&object.entries),
            _ => None,
        }
    }

    /// The text at `id`, if it is one.
    pub fn text(&self, id: Id) -> Option<&'a str> {
        match *self.get(id) {
            Value::Str(s) => Some(s),
            _ => None,
        }
    }
}

pub(super) struct Machine<'a, 'p> {
    place: &'p str,
    pub bytes: &'a [u8],
    at: usize,
    /// Where the current opcode stands, for errors.
    op_at: usize,
    pub values: Vec<Value<'a>>,
    pub foreign: Vec<Foreign<'a>>,
    pub stack: Vec<Id>,
    marks: Vec<u32>,
    memo: HashMap<u32, Id>,
    /// Entries that were copied from one value to another.
    pub copied: usize,
}

impl<'a> Machine<'a, '_> {
    pub fn fail(&self, what: impl std::fmt::Display) -> Error {
        let place = format!("{} at byte {}", self.place, self.op_at);
        Error::new(ErrorKind::Format, place, what)
    }

    fn take(&mut self, n: u64) -> Result<&'a [u8]> {
        let rest = &self.bytes[self.at..];
        let Some(taken) = usize::try_from(n).ok().and_then(|n| rest.get(..n)) else {
            return Err(self
                .fail("the pickle is cut off")
                .expected(format!("{n} more bytes"))
                .got(rest.len()));
        };
        self.at += taken.len();
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        Ok(self.take(N as u64)?.try_into().expect("as many as asked for"))
    }

    fn u8(&mut self) -> Result<u8> {
        self.array::<1>().map(|b| b[0])
    }

    fn u32(&mut self) -> Result<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn utf8(&mut self, n: u64) -> Result<&'a str> {
        let bytes = self.take(n)?;
        std::str::from_utf8(bytes).map_err(|e| self.fail(format!("text is not UTF-8: {e}")))
    }

    fn line(&mut self) -> Result<&'a str> {
        let n = self.bytes[self.at..].iter().position(|&b| b == b'\n');
        let n = n.ok_or_else(|| self.fail("the pickle is cut off").expected("an end of line"))?;
        let line = self.utf8(n as u64)?;
        self.at += 1;
        Ok(line)
    }

    pub fn make(&mut self, value: Value<'a>) -> Result<Id> {
        if self.values.len() == MAX_VALUES {
            return Err(self.fail(format!("more than {MAX_VALUES} values")));
        }
        self.values.push(value);
        Ok(self.values.len() as Id - 1)
    }

    pub fn push(&mut self, value: Value<'a>) -> Result<()> {
        let id = self.make(value)?;
        self.stack.push(id);
        Ok(())
    }

    pub fn pop(&mut self) -> Result<Id> {
        let floor = self.marks.last().map_or(0, |&m| m as usize);
        let id = if self.stack.len() > floor { self.stack.pop() } else { None };
        id.ok_or_else(|| self.fail("takes a value from an empty stack"))
    }

    fn pop_n<const N: usize>(&mut self) -> Result<Vec<Id>> {
        let mut ids = vec![0; N];
        for id in ids.iter_mut().rev() {
            *id = self.pop()?;
        }
        Ok(ids)
    }

    fn pop_to_mark(&mut self) -> Result<Vec<Id>> {
        match self.marks.pop() {
            Some(mark) => Ok(self.stack.split_off(mark as usize)),
            None => Err(self.fail("a mark is missing")),
        }
    }

    fn top(&mut self) -> Result<Id> {
        let id = self.pop()?;
        self.stack.push(id);
        Ok(id)
    }

    pub fn get(&self, id: Id) -> &Value<'a> {
        &self.values[id as usize]
    }

    /// Runs one opcode; gives the root at the last.
    fn step(&mut self) -> Result<Option<Id>> {
        self.op_at = self.at;
        match self.u8()? {
            0x80 => match self.u8()? {
                0..=5 => {}
                v => return Err(self.fail("pickle protocol").expected("0 to 5").got(v)),
            },
            0x95 => drop(self.u64()?),
            b'.' => return self.pop().map(Some),
            b'(' => self.marks.push(self.stack.len() as u32),
            b'0' => drop(self.pop()?),
            b'1' => drop(self.pop_to_mark()?),
            b'2' => {
                let id = self.top()?;
                self.stack.push(id);
            }
            b'N' => self.push(Value::None)?,
            0x88 => self.push(Value::Bool(true))?,
            0x89 => self.push(Value::Bool(false))?,
            b'K' => {
                let x = self.u8()?;
                self.push(Value::Int(x.into()))?;
            }
            b'M' => {
                let x = u16::from_le_bytes(self.array()?);
                self.push(Value::Int(x.into()))?;
            }
            b'J' => {
                let x = i32::from_le_bytes(self.array()?);
                self.push(Value::Int(x.into()))?;
            }
            0x8a => {
                let n = self.u8()?;
                self.long(n.into())?;
            }
            0x8b => {
                let n = self.u32()?;
                self.long(n.into())?;
            }
            b'G' => {
                let x = f64::from_be_bytes(self.array()?);
                self.push(Value::Float(x))?;
            }
            op @ (b'X' | 0x8c | 0x8d) => {
                let n = self.length(op)?;
                let text = self.utf8(n)?;
                self.push(Value::Str(text))?;
            }
            // Text of Python 2, or its bytes.
            op @ (b'U' | b'T') => {
                let n = self.length(op)?;
                let bytes = self.take(n)?;
                self.push(std::str::from_utf8(bytes).map_or(Value::Bytes(bytes), Value::Str))?;
            }
            op @ (b'C' | b'B' | 0x8e | 0x96) => {
                let n = self.length(op)?;
                let bytes = self.take(n)?;
                self.push(Value::Bytes(bytes))?;
            }
            b')' => self.push(Value::Tuple(Vec::new()))?,
            b']' => self.push(Value::List(Vec::new()))?,
            b'}' => self.push(Value::Dict(Vec::new()))?,
            0x8f => self.push(Value::Opaque("set"))?,
            b't' => {
                let items = self.pop_to_mark()?;
                self.push(Value::Tuple(items))?;
            }
            0x85 => {
                let items = self.pop_n::<1>()?;
                self.push(Value::Tuple(items))?;
            }
            0x86 => {
                let items = self.pop_n::<2>()?;
                self.push(Value::Tuple(items))?;
            }
            0x87 => {
                let items = self.pop_n::<3>()?;
                self.push(Value::Tuple(items))?;
            }
            b'l' => {
                let items = self.pop_to_mark()?;
                self.push(Value::List(items))?;
            }
            b'd' => {
                let items = self.pop_to_mark()?;
                self.push(Value::Dict(Vec::new()))?;
                self.set_items(items)?;
            }
            0x91 => {
                self.pop_to_mark()?;
                self.push(Value::Opaque("frozenset"))?;
            }
            b'a' => {
                let item = self.pop()?;
                self.append(vec![item])?;
            }
            b'e' | 0x90 => {
                let items = self.pop_to_mark()?;
                self.append(items)?;
            }
            b's' => {
                let items = self.pop_n::<2>()?;
                self.set_items(items)?;
            }
            b'u' => {
                let items = self.pop_to_mark()?;
                self.set_items(items)?;
            }
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                self.global(module, name)?;
            }
            0x93 => {
                let ids = self.pop_n::<2>()?;
                let (Value::Str(module), Value::Str(name)) = (self.get(ids[0]), self.get(ids[1]))
                else {
                    return Err(self.fail("a global is named by something that is no text"));
                };
                self.global(module, name)?;
            }
            b'R' | 0x81 => self.call()?,
            0x92 => {
                self.pop()?;
                self.call()?;
            }
            // Attributes: `_metadata` of a state dict, hooks of a tensor. Nothing here has any.
            b'b' => drop(self.pop()?),
            b'q' => {
                let slot = self.u8()?.into();
                self.remember(slot)?;
            }
            b'r' => {
                let slot = self.u32()?;
                self.remember(slot)?;
            }
            0x94 => self.remember(self.memo.len() as u32)?,
            b'h' => {
                let slot = self.u8()?.into();
                self.recall(slot)?;
            }
            b'j' => {
                let slot = self.u32()?;
                self.recall(slot)?;
            }
            b'Q' => self.storage()?,
            // What the opcode of protocol 0 would call is named before it is refused.
            b'i' => {
                let (module, name) = (self.line()?, self.line()?);
                self.global(module, name)?;
                return Err(self.fail("opcode INST of pickle protocol 0 is not read"));
            }
            op => {
                return Err(self
                    .fail(format!("opcode 0x{op:02x} is not one a checkpoint needs"))
                    .hint("damaged, or written with a pickle protocol older than 2"));
            }
        }
        Ok(None)
    }

    /// The length that follows an opcode for text or bytes.
    fn length(&mut self, op: u8) -> Result<u64> {
        match op {
            0x8c | b'U' | b'C' => self.u8().map(u64::from),
            b'X' | b'T' | b'B' => self.u32().map(u64::from),
            _ => self.u64(),
        }
    }

    fn long(&mut self, n: u64) -> Result<()> {
        let bytes = self.take(n)?;
        if bytes.len() > 8 {
            return self.push(Value::Long(bytes));
        }
        let fill = if bytes.last().is_some_and(|b| b & 0x80 != 0) { 0xff } else { 0 };
        let mut le = [fill; 8];
        le[..bytes.len()].copy_from_slice(bytes);
        self.push(Value::Int(i64::from_le_bytes(le)))
    }

    fn remember(&mut self, slot: u32) -> Result<()> {
        let id = self.top()?;
        self.memo.insert(slot, id);
        Ok(())
    }

    fn recall(&mut self, slot: u32) -> Result<()> {
        let id = self.memo.get(&slot).copied();
        let id = id.ok_or_else(|| self.fail(format!("memo {slot} was never written")))?;
        self.stack.push(id);
        Ok(())
    }

    fn append(&mut self, items: Vec<Id>) -> Result<()> {
        let to = self.top()?;
        match &mut self.values[to as usize] {
            Value::List(list) => list.extend(items),
            Value::Opaque(_) | Value::Object(_) => {}
            _ => return Err(self.fail("appends to something that is no list")),
        }
        Ok(())
    }

    fn set_items(&mut self, items: Vec<Id>) -> Result<()> {
        let to = self.top()?;
        match &mut self.values[to as usize] {
            Value::Dict(to) | Value::Object(Object { entries: to, .. }) => {
                to.extend(items.chunks_exact(2).map(|kv| (kv[0], kv[1])));
            }
            Value::Opaque(_) => {}
            _ => return Err(self.fail("sets items of something that is no dictionary")),
        }
        Ok(())
    }

    fn global(&mut self, module: &'a str, name: &'a str) -> Result<()> {
        let found = Foreign { module, name, at: self.op_at };
        if does_something(module, name) {
            return Err(found.refused(self.place));
        }
        let global = Global::find(module, name).unwrap_or_else(|| {
            self.foreign.push(found);
            Global::Foreign(self.foreign.len() as u32 - 1)
        });
        self.push(Value::Global(global))
    }
}
