//! Function calls of a pickle. None is executed: the few that build tensors, parameters and dictionaries are recognised
//! by name, and any other call evaluates to an opaque value.

use super::cursor::PickleResult;
use super::machine::{Machine, Value, ValueId};

impl Machine<'_> {
    /// Pushes the result of calling `function` with the tuple `arguments`.
    pub(super) fn call(&mut self, function: ValueId, arguments: ValueId) -> PickleResult {
        let name = self.text(function).unwrap_or("");
        let arguments = self.items(arguments).unwrap_or(&[]);
        match (name, arguments) {
            (
                "torch._utils._rebuild_tensor_v2"
                | "torch._utils._rebuild_tensor"
                | "torch._utils._rebuild_tensor_v3",
                &[storage, offset, shape, strides, ..],
            ) if matches!(self.value(storage), Some(Value::Storage { .. })) => {
                self.push(Value::Tensor { storage, offset, shape, strides })
            }
            (
                "torch._utils._rebuild_parameter" | "torch._utils._rebuild_parameter_with_state",
                &[tensor, ..],
            ) => {
                self.push_id(tensor);
                Ok(())
            }
            // The guard bounds the recursion to one level.
            ("torch._tensor._rebuild_from_type_v2", &[inner, _, inner_arguments, ..])
                if self.text(inner) != Some("torch._tensor._rebuild_from_type_v2") =>
            {
                self.call(inner, inner_arguments)
            }
            ("collections.OrderedDict" | "builtins.dict" | "__builtin__.dict", &[content]) => {
                self.push_dict_copy(self.dict_entries(content))
            }
            (
                "collections.OrderedDict" | "collections.defaultdict" | "builtins.dict" | "__builtin__.dict",
                _,
            ) => self.push(Value::Dict(Vec::new())),
            _ => self.push(Value::Opaque),
        }
    }

    /// The entries of a dictionary built from `content`: another dictionary or a list of pairs.
    fn dict_entries(&self, content: ValueId) -> Vec<(ValueId, ValueId)> {
        match self.value(content) {
            Some(Value::Dict(entries)) => entries.clone(),
            Some(Value::Items(items)) => items
                .iter()
                .filter_map(|item| match self.items(*item) {
                    Some(&[key, value]) => Some((key, value)),
                    _ => None,
                })
                .collect(),
            _ => Vec::new(),
        }
    }

    /// Pushes the storage that a persistent id `('storage', class, key, device, length)` refers to.
    pub(super) fn load_persistent(&mut self, id: ValueId) -> PickleResult {
        match self.items(id) {
            Some(&[kind, class, key, ..]) if self.text(kind) == Some("storage") => {
                self.push(Value::Storage { class, key })
            }
            _ => Err("a persistent object is not a tensor storage".into()),
        }
    }
}
