//! Function calls of a pickle. None is executed: the few that build tensors, parameters and dictionaries are recognised
//! by name, and any other call evaluates to an opaque value.

use super::cursor::PickleResult;
use super::machine::{Machine, Value, ValueId};

/// The function that rebuilds a tensor of a subclass by calling another function.
const REBUILD_FROM_TYPE: (&str, &str) = ("torch._tensor", "_rebuild_from_type_v2");

impl Machine<'_> {
    /// Pushes the result of calling `function` with the tuple `arguments`.
    pub(super) fn call(&mut self, function: ValueId, arguments: ValueId) -> PickleResult {
        let name = self.global(function).unwrap_or(("", ""));
        let items = self.items(arguments).unwrap_or(&[]);
        match (name, items) {
            (
                ("torch._utils", "_rebuild_tensor_v2" | "_rebuild_tensor" | "_rebuild_tensor_v3"),
                &[storage, offset, shape, strides, ..],
            ) if matches!(self.value(storage), Some(Value::Storage { .. })) => {
                self.push(Value::Tensor { storage, offset, shape, strides })
            }
            (("torch._utils", "_rebuild_parameter" | "_rebuild_parameter_with_state"), &[tensor, ..]) => {
                self.push_id(tensor)
            }
            // The guard bounds the recursion to one level.
            (REBUILD_FROM_TYPE, &[inner, _, inner_arguments, ..])
                if self.global(inner) != Some(REBUILD_FROM_TYPE) =>
            {
                self.call(inner, inner_arguments)
            }
            (("collections", "OrderedDict") | ("builtins" | "__builtin__", "dict"), &[content]) => {
                self.push_dict_of(content)
            }
            (("collections", "OrderedDict" | "defaultdict") | ("builtins" | "__builtin__", "dict"), _) => {
                self.push(Value::Dict(Vec::new()))
            }
            _ => self.push(Value::Opaque),
        }
    }

    /// Pushes a new dictionary with the content of another one or of a list of pairs.
    fn push_dict_of(&mut self, content: ValueId) -> PickleResult {
        let visited = match self.value(content) {
            Some(Value::Dict(entries)) => 2 * entries.len(),
            Some(Value::Items(items)) => 2 * items.len(),
            _ => 0,
        };
        self.count(visited)?;
        let pair = |item: &ValueId| match self.items(*item) {
            Some(&[key, value]) => Some((key, value)),
            _ => None,
        };
        let entries = match self.value(content) {
            Some(Value::Dict(entries)) => entries.clone(),
            Some(Value::Items(items)) => items.iter().filter_map(pair).collect(),
            _ => Vec::new(),
        };
        self.push(Value::Dict(entries))
    }

    /// Pushes the storage that a persistent id `('storage', class, key, device, length)` refers to.
    pub(super) fn load_persistent(&mut self, id: ValueId) -> PickleResult {
        match self.items(id) {
            // In old files the id may end with the part of another storage that this one is.
            Some(&[kind, .., view]) if self.text(kind) == Some("storage") && self.items(view).is_some() => {
                Err("a storage is a part of another one, which is not supported".into())
            }
            Some(&[kind, class, key, ..]) if self.text(kind) == Some("storage") => {
                self.push(Value::Storage { class, key })
            }
            _ => Err("a persistent object is not a tensor storage".into()),
        }
    }
}
