// Which pairs of query i and key j of `keys` do not attend, by the mask's number.
const CAUSAL: u32 = 1u;
const DIAGONAL_AND_LENGTHS: u32 = 2u;
const OWN_AND_LENGTHS: u32 = 3u;
const TABLE: u32 = 4u;

// Score of a masked pair: its exponential is 0 beside any other, and finite when a row has no other.
const MASKED: f32 = -1e30;

fn hides(mask: u32, i: u32, j: u32, keys: u32) -> bool {
    return j >= keys || (mask == CAUSAL && j > i) || (mask == DIAGONAL_AND_LENGTHS && j == i)
        || (mask == OWN_AND_LENGTHS && j == i + 1u);
}

// Whether a sequence has keys up to a length of its own.
fn has_lengths(mask: u32) -> bool {
    return mask == DIAGONAL_AND_LENGTHS || mask == OWN_AND_LENGTHS;
}
