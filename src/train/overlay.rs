//! Settings in TOML that go over others.

/// The first key of `given` that is not in `known`.
pub(super) fn unknown(given: &toml::Value, known: &toml::Value) -> Option<String> {
    let (given, known) = (given.as_table()?, known.as_table()?);
    given.iter().find_map(|(key, value)| match known.get(key) {
        None => Some(key.clone()),
        Some(known) => unknown(value, known).map(|inner| format!("{key}.{inner}")),
    })
}

/// Puts `from` over `into`, table by table.
pub(super) fn merge(into: &mut toml::Value, from: toml::Value) {
    match (into, from) {
        (toml::Value::Table(into), toml::Value::Table(from)) => {
            for (key, value) in from {
                match into.get_mut(&key) {
                    // A schedule of another kind has other fields.
                    Some(old)
                        if value.get("kind").is_none_or(|kind| old.get("kind") == Some(kind)) =>
                    {
                        merge(old, value);
                    }
                    _ => {
                        into.insert(key, value);
                    }
                }
            }
        }
        // Whole numbers stand for floats where a float is wanted.
        (into @ toml::Value::Float(_), toml::Value::Integer(i)) => {
            *into = toml::Value::Float(i as f64);
        }
        (into, from) => *into = from,
    }
}
