// Random words by hashing: one step of PCG-RXS-M-XS with 32 bits of state (O'Neill 2014).
fn pcg(value: vec4u) -> vec4u {
    let state = value * 747796405u + 2891336453u;
    let word = ((state >> ((state >> vec4u(28u)) + 4u)) ^ state) * 277803737u;
    return (word >> vec4u(22u)) ^ word;
}

// What the words of one call of one step of a run begin with.
fn stream(seed: u32, step: u32, site: u32) -> u32 {
    return pcg(pcg(pcg(vec4u(seed)) ^ vec4u(step)) ^ vec4u(site)).x;
}

// The words of its elements `i`.
fn random_words(key: u32, i: vec4u) -> vec4u {
    return pcg(vec4u(key) ^ i);
}
