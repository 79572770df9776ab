//! Files of `torch.save` in the older container, which has no checksums, written opcode by opcode.

/// A pickled value, and the storages that its tensors look at: key, bytes of an element, bytes.
#[derive(Clone, Default)]
pub struct Pickled {
    /// Opcodes that leave the value on the stack.
    pub ops: Vec<u8>,
    /// What the tensors in it look at.
    pub storages: Vec<(String, usize, Vec<u8>)>,
}

/// A value of opcodes alone.
pub fn raw(ops: &[u8]) -> Pickled {
    Pickled { ops: ops.to_vec(), storages: Vec::new() }
}

fn text(text: &str) -> Vec<u8> {
    [b"X", &(text.len() as u32).to_le_bytes()[..], text.as_bytes()].concat()
}

/// A dictionary.
pub fn dict<K: AsRef<str>>(entries: impl IntoIterator<Item = (K, Pickled)>) -> Pickled {
    let mut all = raw(b"}(");
    for (key, value) in entries {
        all.ops.extend(text(key.as_ref()));
        all.ops.extend(value.ops);
        all.storages.extend(value.storages);
    }
    all.ops.push(b'u');
    all
}

fn storage(class: &str, key: &str, count: usize) -> Vec<u8> {
    let count = (count as i32).to_le_bytes();
    let class = format!("c{class}\n");
    let (name, key, device) = (text("storage"), text(key), text("cpu"));
    [b"(", &name[..], class.as_bytes(), &key, &device, b"J", &count, b"tQ"].concat()
}

fn sizes(sizes: &[usize]) -> Vec<u8> {
    let each = sizes.iter().flat_map(|n| [b"J", &(*n as i32).to_le_bytes()[..]].concat());
    [&b"("[..], &each.collect::<Vec<u8>>(), b"t"].concat()
}

/// The arguments of PyTorch's function that rebuilds a tensor, up to its hooks.
fn arguments(storage: &[u8], shape: &[usize]) -> Vec<u8> {
    let mut strides = vec![1; shape.len()];
    (1..shape.len()).rev().for_each(|i| strides[i - 1] = strides[i] * shape[i]);
    [b"(", storage, b"K\0", &sizes(shape), &sizes(&strides), b"\x89}"].concat()
}

/// A tensor over a typed storage: its class below `torch`, and its elements.
pub fn tensor(class: &str, key: &str, shape: &[usize], bytes: &[u8]) -> Pickled {
    let count: usize = shape.iter().product();
    let args = arguments(&storage(&format!("torch\n{class}"), key, count), shape);
    let ops = [&b"ctorch._utils\n_rebuild_tensor_v2\n"[..], &args, b"tR"].concat();
    Pickled { ops, storages: vec![(key.into(), bytes.len() / count.max(1), bytes.to_vec())] }
}

/// A tensor of the type `torch.NAME` over an untyped storage, as PyTorch has written it since 2.3 for types without a typed one.
pub fn untyped(name: &str, key: &str, shape: &[usize], bytes: &[u8]) -> Pickled {
    let args = arguments(&storage("torch.storage\nUntypedStorage", key, bytes.len()), shape);
    let dtype = format!("ctorch\n{name}\n");
    let ops =
        [&b"ctorch._utils\n_rebuild_tensor_v3\n"[..], &args, dtype.as_bytes(), b"tR"].concat();
    Pickled { ops, storages: vec![(key.into(), 1, bytes.to_vec())] }
}

/// A tensor of a subclass, or with attributes of Python: `tensor` within PyTorch's function for them.
pub fn retyped(tensor: Pickled, class: &str, state: &[u8]) -> Pickled {
    let call = b"ctorch._utils\n_rebuild_tensor_v2\n";
    let args = tensor.ops.strip_prefix(call).and_then(|a| a.strip_suffix(b"R")).expect("a tensor");
    let class = format!("c{class}\n");
    let rebuild = b"ctorch._tensor\n_rebuild_from_type_v2\n(";
    let ops = [rebuild, &call[..], class.as_bytes(), args, state, b"tR"].concat();
    Pickled { ops, ..tensor }
}

/// Two floats under `key`.
pub fn floats(key: &str, values: [f32; 2]) -> Pickled {
    tensor("FloatStorage", key, &[2], &values.map(f32::to_le_bytes).concat())
}

/// The file that holds `object`.
pub fn file(object: &Pickled) -> Vec<u8> {
    let mut file = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.".to_vec();
    file.extend(b"\x80\x02M\xe9\x03.\x80\x02}.\x80\x02");
    file.extend(&object.ops);
    file.extend(b".\x80\x02](");
    object.storages.iter().for_each(|(key, ..)| file.extend(text(key)));
    file.extend(b"e.");
    for (_, element, bytes) in &object.storages {
        file.extend((bytes.len() as u64 / *element.max(&1) as u64).to_le_bytes());
        file.extend(bytes);
    }
    file
}
