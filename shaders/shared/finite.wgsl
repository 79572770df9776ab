// Which floats of an element are numbers and not infinite. By their bits: a compiler may take comparisons with NaN and
// infinity for never true.
#import four

const EXPONENT: u32 = 0x7f800000u;
#repeat once VEC..1
alias Which = bool;

fn finite(e: Element) -> Which {
    return (bitcast<u32>(e) & EXPONENT) != EXPONENT;
}

fn others(which: Which) -> u32 {
    return select(1u, 0u, which);
}
#end
#repeat once 0..VEC
alias Which = vec4<bool>;

fn finite(e: Element) -> Which {
    return (bitcast<vec4u>(e) & vec4u(EXPONENT)) != vec4u(EXPONENT);
}

fn others(which: Which) -> u32 {
    let n = select(vec4u(1u), vec4u(0u), which);
    return n.x + n.y + n.z + n.w;
}
#end
