// Random words by hashing: one step of PCG-RXS-M-XS with 32 bits of state (O'Neill 2014).
fn pcg(value: u32) -> u32 {
    let state = value * 747796405u + 2891336453u;
    let word = ((state >> ((state >> 28u) + 4u)) ^ state) * 277803737u;
    return (word >> 22u) ^ word;
}

// The word of element `i` at one call of one step of a run.
fn random_word(seed: u32, step: u32, site: u32, i: u32) -> u32 {
    return pcg(pcg(pcg(pcg(seed) ^ step) ^ site) ^ i);
}
