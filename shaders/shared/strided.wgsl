// Where element `i` of a contiguous tensor lies in a view of another tensor. The view has INNER axes of size d and stride s,
// fastest first, and a slowest one of stride `outer`; they are fields of the kernel's parameters.
const INNER: u32 = 0u; // tile

fn strided(i: u32) -> u32 {
    var rest = i;
    var at = 0u;
#repeat a 0..INNER
    let q{a} = quotient(rest, p.d{a});
    at += (rest - q{a} * p.d{a}) * p.s{a};
    rest = q{a};
#end
    return at + rest * p.outer;
}
