//! What the calls and persistent ids of a pickle make: tensors, storages, dictionaries, and objects that nobody looks into.

use super::element::Element;
use super::globals::Global;
use super::pickle::Machine;
use super::value::{Id, Object, Storage, Value, View};
use crate::Result;

impl Machine<'_, '_> {
    /// `f(*args)`, of which nothing is run.
    pub fn call(&mut self) -> Result<()> {
        let (args, f) = (self.pop()?, self.pop()?);
        let args = self.arguments(args)?;
        let id = match *self.get(f) {
            Value::Global(f) => self.made(f, &args)?,
            // What a call gave may be called again: `getattr(a, "b")(c)`.
            Value::Object(Object { class, .. }) => self.object(class, &args)?,
            Value::Opaque(label) => self.make(Value::Opaque(label))?,
            _ => return Err(self.fail("calls something that is no global")),
        };
        self.stack.push(id);
        Ok(())
    }

    fn arguments(&mut self, tuple: Id) -> Result<Vec<Id>> {
        let Value::Tuple(args) = self.get(tuple) else {
            return Err(self.fail("arguments of a call are no tuple"));
        };
        let args = args.clone();
        self.copies(args.len())?;
        Ok(args)
    }

    /// Counts entries that are copied or looked through: a short pickle could have that done to a long list often.
    fn copies(&mut self, entries: usize) -> Result<()> {
        self.copied += entries;
        match self.copied > self.bytes.len() {
            true => Err(self.fail("one list is used again and again")),
            false => Ok(()),
        }
    }

    /// What a call of `f` makes.
    fn made(&mut self, f: Global, args: &[Id]) -> Result<Id> {
        match (f, args) {
            (Global::Retyped, &[f, _, args, ..]) => match *self.get(f) {
                Value::Global(Global::Retyped | Global::Fastai) => {
                    Err(self.fail("a tensor of a subclass within another"))
                }
                Value::Global(f) => {
                    let args = self.arguments(args)?;
                    self.made(f, &args)
                }
                _ => Err(self.fail("a tensor of a subclass without its tensor")),
            },
            (Global::Fastai, [_, args @ ..]) => self.made(Global::Tensor, args),
            (Global::Tensor, view) if view.len() >= 4 => {
                let element = match *self.get(view[0]) {
                    Value::Storage(Storage { element, .. }) => element,
                    _ => return self.without_storage(view[0]),
                };
                self.tensor(view, element, view.get(6).copied())
            }
            (Global::TypedTensor, view) if view.len() >= 7 => {
                let element = match *self.get(view[6]) {
                    Value::Global(Global::Dtype(element)) => element,
                    // A type that is younger than this program.
                    Value::Global(Global::Foreign(_)) => {
                        return self.make(Value::Opaque("tensor of an unknown type"));
                    }
                    _ => return Err(self.fail("a tensor's type is no type")),
                };
                match self.get(view[0]) {
                    Value::Storage(_) => self.tensor(view, element, view.get(7).copied()),
                    _ => self.without_storage(view[0]),
                }
            }
            (Global::Parameter, &[data, ..])
                if matches!(
                    self.get(data),
                    Value::Tensor(_) | Value::Opaque(_) | Value::Object(_)
                ) =>
            {
                Ok(data)
            }
            (Global::Size, &[size]) if matches!(self.get(size), Value::Tuple(_)) => Ok(size),
            (Global::Dict, args) => {
                let entries = self.entries_of(args.first().copied())?;
                self.make(Value::Dict(entries))
            }
            (Global::Inert(label), _) => self.make(Value::Opaque(label)),
            (Global::Foreign(class), args) => self.object(class, args),
            (f, _) => Err(self.fail(format!("wrong arguments for {f:?}"))),
        }
    }

    /// A tensor of storage, offset, sizes and strides. `flags` say whether its values are other than its storage's.
    fn tensor(&mut self, view: &[Id], element: Element, flags: Option<Id>) -> Result<Id> {
        let &Value::Int(offset) = self.get(view[1]) else {
            return Err(self.fail("a tensor's offset is no integer"));
        };
        let offset = self.count("a tensor's offset", offset)?;
        if let Some(Value::Dict(flags)) = flags.map(|id| self.get(id))
            && flags.iter().any(|(_, on)| matches!(self.get(*on), Value::Bool(true)))
        {
            return self.make(Value::Opaque("lazily negated tensor, which is not read"));
        }
        let (storage, size, stride) = (view[0], view[2], view[3]);
        self.make(Value::Tensor(View { element, storage, offset, size, stride }))
    }

    /// A tensor over something else: over what a package's global made, it is that package's.
    fn without_storage(&mut self, storage: Id) -> Result<Id> {
        match *self.get(storage) {
            Value::Object(Object { class, .. }) | Value::Global(Global::Foreign(class)) => {
                self.make(Value::Object(Object { class, of_tensor: true, entries: Vec::new() }))
            }
            _ => Err(self.fail("a tensor without a storage")),
        }
    }

    fn object(&mut self, class: u32, args: &[Id]) -> Result<Id> {
        let is = |id: &Id| match self.get(*id) {
            Value::Tensor(_) | Value::Storage(_) => true,
            Value::Object(object) => object.of_tensor,
            _ => false,
        };
        let of_tensor = args.iter().any(|id| match self.get(*id) {
            Value::Tuple(inner) => inner.iter().take(8).any(is),
            _ => is(id),
        });
        self.make(Value::Object(Object { class, of_tensor, entries: Vec::new() }))
    }

    /// Python 2 pickles `OrderedDict([[key, value], …])`.
    fn entries_of(&mut self, list: Option<Id>) -> Result<Vec<(Id, Id)>> {
        let Some(Value::List(items)) = list.map(|id| self.get(id)) else {
            return Ok(Vec::new());
        };
        let pair = |&id: &Id| match self.get(id) {
            Value::List(kv) | Value::Tuple(kv) if kv.len() == 2 => Ok((kv[0], kv[1])),
            _ => Err(self.fail("an entry of a dictionary is no pair")),
        };
        let entries = items.iter().map(pair).collect::<Result<Vec<_>>>()?;
        self.copies(entries.len())?;
        Ok(entries)
    }

    fn count(&self, what: &str, n: i64) -> Result<u64> {
        n.try_into().map_err(|_| self.fail(what).expected("zero or more").got(n))
    }

    /// A persistent id `("storage", type, key, device, count[, view])`; a view is None or `(key, offset, count)`. Or
    /// `("module", class, …)`.
    pub fn storage(&mut self) -> Result<()> {
        let id = self.pop()?;
        let wrong = |m: &Self| m.fail("a persistent id is not one of PyTorch's storages");
        let Value::Tuple(parts) = self.get(id) else { return Err(wrong(self)) };
        // The older container names classes of modules so, with their source.
        if let [tag, class, ..] = parts[..]
            && matches!(self.get(tag), Value::Str("module"))
        {
            self.stack.push(class);
            return Ok(());
        }
        let [tag, element, key, _, count, ref view @ ..] = parts[..] else {
            return Err(wrong(self));
        };
        let (
            Value::Str("storage"),
            &Value::Global(Global::Storage(element)),
            Value::Str(_),
            &Value::Int(count),
        ) = (self.get(tag), self.get(element), self.get(key), self.get(count))
        else {
            return Err(wrong(self));
        };
        let whole = self.count("a storage's size", count)?;
        let (first, count) = match view.first().map(|&v| self.get(v)) {
            None | Some(Value::None) => (0, whole),
            Some(Value::Tuple(view)) if view.len() == 3 => {
                let (&Value::Int(first), &Value::Int(count)) =
                    (self.get(view[1]), self.get(view[2]))
                else {
                    return Err(wrong(self));
                };
                (self.count("a view's offset", first)?, self.count("a view's size", count)?)
            }
            Some(_) => return Err(wrong(self)),
        };
        self.push(Value::Storage(Storage { element, key, first, count }))
    }
}
