//! A pickle reader that runs nothing: it understands what `torch.save` writes of tensors and containers, and any other
//! object becomes a thing without content.
//!
//! Values live in one list and refer to each other by position, so neither deep nor circular ones can hurt.

mod bytes;
mod machine;

use machine::{Id, Machine, Node};

/// The most dimensions a tensor may have.
const DIMENSIONS: usize = 16;
/// The longest tensor name.
const LONGEST_NAME: usize = 512;
/// Where wrappers keep the tensors, best first.
const WRAPPERS: [&str; 4] = ["state_dict", "model", "module", "model_state_dict"];

/// A tensor as the pickle describes it.
#[derive(Debug, PartialEq)]
pub(super) struct Described {
    /// Its name in the state dict.
    pub name: String,
    /// The storage it is part of.
    pub key: String,
    /// The storage's class, such as `FloatStorage`.
    pub class: String,
    /// First element in the storage.
    pub offset: u64,
    /// Shape.
    pub shape: Vec<usize>,
    /// Distance between neighbours along each dimension, in elements.
    pub strides: Vec<usize>,
}

/// The tensors of the state dict in the pickle.
pub(super) fn state_dict(bytes: &[u8]) -> Result<Vec<Described>, String> {
    let (machine, root) = Machine::run(bytes)?;
    let mut dict = root;
    // A wrapper in a wrapper in a wrapper, and no further.
    for _ in 0..4 {
        let inner = WRAPPERS.iter().find_map(|name| {
            entries(&machine, dict)
                .iter()
                .rev()
                .find(|(key, _)| machine.text(*key) == Some(name))
                .map(|(_, value)| *value)
                .filter(|value| matches!(machine.node(*value), Some(Node::Dict(_))))
        });
        match inner {
            Some(inner) => dict = inner,
            None => break,
        }
    }
    if !matches!(machine.node(dict), Some(Node::Dict(_))) {
        return Err("holds an object, not a state dict; save the model's state_dict() instead".into());
    }
    let mut last = std::collections::BTreeMap::new();
    for (key, value) in entries(&machine, dict) {
        if let (Some(name), Some(Node::Tensor { .. })) = (machine.text(*key), machine.node(*value)) {
            last.insert(name, *value);
        }
    }
    if last.is_empty() {
        return Err("holds no tensors where a state dict should be".into());
    }
    last.into_iter().map(|(name, id)| describe(&machine, name, id)).collect()
}

fn entries<'m>(machine: &'m Machine<'_>, dict: Id) -> &'m [(Id, Id)] {
    match machine.node(dict) {
        Some(Node::Dict(entries)) => entries,
        _ => &[],
    }
}

fn describe(machine: &Machine<'_>, name: &str, id: Id) -> Result<Described, String> {
    if name.len() > LONGEST_NAME {
        return Err(format!("a tensor's name has {} bytes; expected at most {LONGEST_NAME}", name.len()));
    }
    let fault = |what: &str| format!("tensor {name}: {what}");
    let Some(Node::Tensor { storage, offset, shape, strides }) = machine.node(id) else {
        return Err(fault("is none"));
    };
    let Some(Node::Storage { class, key }) = machine.node(*storage) else {
        return Err(fault("its storage is none"));
    };
    let (Some(class), Some(key)) = (machine.text(*class), machine.text(*key)) else {
        return Err(fault("its storage has no type or no name"));
    };
    if class.len() > LONGEST_NAME || key.len() > LONGEST_NAME {
        return Err(fault("its storage has too long a name"));
    }
    let shape = numbers(machine, *shape).ok_or_else(|| fault("its shape is no tuple of a few sizes"))?;
    let strides =
        numbers(machine, *strides).ok_or_else(|| fault("its strides are no tuple of a few numbers"))?;
    if shape.len() != strides.len() {
        return Err(fault("it has not as many strides as dimensions"));
    }
    let Some(&Node::Int(offset)) = machine.node(*offset) else {
        return Err(fault("its storage offset is no number"));
    };
    let offset = u64::try_from(offset).map_err(|_| fault("its storage offset is negative"))?;
    let class = class.rsplit('.').next().unwrap_or(class).to_string();
    Ok(Described { name: name.to_string(), key: key.to_string(), class, offset, shape, strides })
}

fn numbers(machine: &Machine<'_>, id: Id) -> Option<Vec<usize>> {
    let items = machine.items(id)?;
    if items.len() > DIMENSIONS {
        return None;
    }
    items
        .iter()
        .map(|item| match machine.node(*item) {
            Some(Node::Int(value)) => usize::try_from(*value).ok(),
            _ => None,
        })
        .collect()
}
