//! Kernels whose tensors are stored in half precision.
//!
//! Kernels are written for floats. Where a tensor that is bound holds f16, its elements are turned into floats as they are
//! read and rounded to f16 as they are written; everything between stays in floats. This is done once, on naga's form of
//! the kernel, for any kernel and any set of its bindings:
//!
//! - `array<f32>` and `array<vec4f>` become arrays of f16;
//! - a load becomes the call of a function that loads and widens: `load_x(i)`, or for one component of a vector
//!   `load_x_component(i, c)`;
//! - a store rounds its value first.

use naga::{
    AddressSpace, Arena, ArraySize, Block, Expression, Function, FunctionArgument, FunctionResult,
    GlobalVariable, Handle, Literal, Module, Range, Scalar, ScalarKind, Span, Statement, Type,
    TypeInner, VectorSize,
};
use std::collections::HashMap;

/// Stores the buffers of these bindings (bit `i` for binding `i`) as f16.
///
/// # Errors
/// The name of a binding that does not hold floats.
pub(super) fn store_as_halves(module: &mut Module, bindings: u32) -> Result<(), String> {
    if bindings == 0 {
        return Ok(());
    }
    let named = |(handle, var): (Handle<GlobalVariable>, &GlobalVariable)| {
        let storage = matches!(var.space, AddressSpace::Storage { .. });
        let wanted = |b: &naga::ResourceBinding| bindings >> b.binding & 1 == 1;
        (storage && var.binding.as_ref().is_some_and(wanted)).then_some(handle)
    };
    let vars: Vec<_> = module.global_variables.iter().filter_map(named).collect();
    let mut functions = Arena::new();
    let mut halves = HashMap::new();
    for var in vars {
        halves.insert(var, Loads::new(module, &mut functions, var)?);
    }
    // A function may only call those before it.
    let mut moved = HashMap::new();
    for (old, function, span) in std::mem::take(&mut module.functions).drain() {
        let rewritten = Rewriter { halves: &halves, moved: &moved }.function(function);
        moved.insert(old, functions.append(rewritten, span));
    }
    module.functions = functions;
    for entry in &mut module.entry_points {
        let function = std::mem::take(&mut entry.function);
        entry.function = Rewriter { halves: &halves, moved: &moved }.function(function);
    }
    Ok(())
}

/// The bindings of a kernel that hold floats: bit `i` for binding `i`.
pub(super) fn of_floats(module: &Module) -> u32 {
    let storage = |v: &&GlobalVariable| matches!(v.space, AddressSpace::Storage { .. });
    let vars = module.global_variables.iter().map(|(_, v)| v).filter(storage);
    let floats = vars.filter(|v| floats(module, v.ty).is_some());
    floats.filter_map(|v| v.binding.as_ref()).map(|b| 1 << b.binding).sum()
}

/// Of an array of floats or of vectors of floats: the vectors' size.
fn floats(module: &Module, array: Handle<Type>) -> Option<Option<VectorSize>> {
    let TypeInner::Array { base, size: ArraySize::Dynamic, .. } = module.types[array].inner else {
        return None;
    };
    match module.types[base].inner {
        TypeInner::Scalar(Scalar::F32) => Some(None),
        TypeInner::Vector { size, scalar: Scalar::F32 } => Some(Some(size)),
        _ => None,
    }
}

/// The functions that load from a buffer of f16.
struct Loads {
    element: Handle<Function>,
    component: Option<Handle<Function>>,
}

impl Loads {
    /// Makes `var` an array of f16.
    fn new(
        module: &mut Module,
        functions: &mut Arena<Function>,
        var: Handle<GlobalVariable>,
    ) -> Result<Self, String> {
        let name = module.global_variables[var].name.clone().unwrap_or_default();
        let Some(vector) = floats(module, module.global_variables[var].ty) else {
            return Err(name);
        };
        let mut add = |inner| module.types.insert(Type { name: None, inner }, Span::UNDEFINED);
        let inner = |scalar| match vector {
            None => TypeInner::Scalar(scalar),
            Some(size) => TypeInner::Vector { size, scalar },
        };
        let half = add(inner(Scalar { kind: ScalarKind::Float, width: 2 }));
        let [whole, float, index] =
            [inner(Scalar::F32), TypeInner::Scalar(Scalar::F32), TypeInner::Scalar(Scalar::U32)]
                .map(&mut add);
        let stride = match vector {
            None => 2,
            Some(VectorSize::Bi) => 4,
            Some(_) => 8,
        };
        let size = ArraySize::Dynamic;
        module.global_variables[var].ty = add(TypeInner::Array { base: half, size, stride });
        let mut function = |suffix: &str, indices: usize, result| {
            let name = format!("load_{name}{suffix}");
            functions.append(load(name, var, indices, index, result), Span::UNDEFINED)
        };
        Ok(Loads {
            element: function("", 1, whole),
            component: vector.map(|_| function("_component", 2, float)),
        })
    }
}

/// `fn name(i: u32, …) -> result { return result(var[i]…); }` with so many indices.
fn load(
    name: String,
    var: Handle<GlobalVariable>,
    indices: usize,
    index: Handle<Type>,
    result: Handle<Type>,
) -> Function {
    let argument = FunctionArgument { name: None, ty: index, binding: None };
    let mut f = Function {
        name: Some(name),
        arguments: vec![argument; indices],
        result: Some(FunctionResult { ty: result, binding: None }),
        ..Default::default()
    };
    let mut add = |e| f.expressions.append(e, Span::UNDEFINED);
    let arguments: Vec<_> =
        (0..indices).map(|i| add(Expression::FunctionArgument(i as u32))).collect();
    let mut pointer = add(Expression::GlobalVariable(var));
    let mut emitted = Vec::new();
    for index in arguments {
        pointer = add(Expression::Access { base: pointer, index });
        emitted.push(pointer);
    }
    let half = add(Expression::Load { pointer });
    let value = add(Expression::As { expr: half, kind: ScalarKind::Float, convert: Some(4) });
    f.body.push(Statement::Emit(Range::new_from_bounds(emitted[0], value)), Span::UNDEFINED);
    f.body.push(Statement::Return { value: Some(value) }, Span::UNDEFINED);
    f
}

#[derive(Clone, Copy)]
enum Index {
    Computed(Handle<Expression>),
    Constant(u32),
}

/// What a pointer leads to in a buffer of f16.
#[derive(Clone, Copy)]
struct Place {
    var: Handle<GlobalVariable>,
    element: Option<Index>,
    component: Option<Index>,
}

impl Place {
    fn at(self, index: Index) -> Self {
        match self.element {
            None => Place { element: Some(index), ..self },
            Some(_) => Place { component: Some(index), ..self },
        }
    }
}

struct Rewriter<'a> {
    halves: &'a HashMap<Handle<GlobalVariable>, Loads>,
    /// Where functions of the module are now.
    moved: &'a HashMap<Handle<Function>, Handle<Function>>,
}

impl Rewriter<'_> {
    fn function(&self, mut f: Function) -> Function {
        let mut places: HashMap<Handle<Expression>, Place> = HashMap::new();
        let mut loads = HashMap::new();
        for (handle, e) in f.expressions.iter() {
            let place = match *e {
                Expression::GlobalVariable(var) if self.halves.contains_key(&var) => {
                    Some(Place { var, element: None, component: None })
                }
                Expression::Access { base, index } => {
                    places.get(&base).map(|p| p.at(Index::Computed(index)))
                }
                Expression::AccessIndex { base, index } => {
                    places.get(&base).map(|p| p.at(Index::Constant(index)))
                }
                Expression::Load { pointer } => {
                    if let Some(place) = places.get(&pointer) {
                        loads.insert(handle, *place);
                    }
                    None
                }
                _ => None,
            };
            if let Some(place) = place {
                places.insert(handle, place);
            }
        }
        for (_, e) in f.expressions.iter_mut() {
            if let Expression::CallResult(function) = e {
                *function = self.moved[function];
            }
        }
        for (handle, place) in &loads {
            f.expressions[*handle] = Expression::CallResult(self.loader(place));
        }
        let body = std::mem::take(&mut f.body);
        f.body =
            Body { rewriter: self, places, loads, expressions: &mut f.expressions }.block(body);
        f
    }

    fn loader(&self, place: &Place) -> Handle<Function> {
        let loads = &self.halves[&place.var];
        match place.component {
            None => loads.element,
            Some(_) => loads.component.expect("only vectors have components"),
        }
    }
}

/// The body of a function: pointers into buffers of f16, and loads through them.
struct Body<'a> {
    rewriter: &'a Rewriter<'a>,
    places: HashMap<Handle<Expression>, Place>,
    loads: HashMap<Handle<Expression>, Place>,
    expressions: &'a mut Arena<Expression>,
}

impl Body<'_> {
    fn block(&mut self, block: Block) -> Block {
        let mut out = Block::new();
        for (statement, span) in block.span_into_iter() {
            match statement {
                Statement::Emit(range) => self.emit(range, &mut out),
                Statement::Store { pointer, value } if self.places.contains_key(&pointer) => {
                    let half =
                        Expression::As { expr: value, kind: ScalarKind::Float, convert: Some(2) };
                    let value = self.add(half, &mut out);
                    out.push(Statement::Store { pointer, value }, span);
                }
                Statement::Call { function, arguments, result } => {
                    let function = self.rewriter.moved[&function];
                    out.push(Statement::Call { function, arguments, result }, span);
                }
                Statement::Block(inner) => out.push(Statement::Block(self.block(inner)), span),
                Statement::If { condition, accept, reject } => {
                    let (accept, reject) = (self.block(accept), self.block(reject));
                    out.push(Statement::If { condition, accept, reject }, span);
                }
                Statement::Switch { selector, mut cases } => {
                    for case in &mut cases {
                        case.body = self.block(std::mem::take(&mut case.body));
                    }
                    out.push(Statement::Switch { selector, cases }, span);
                }
                Statement::Loop { body, continuing, break_if } => {
                    let (body, continuing) = (self.block(body), self.block(continuing));
                    out.push(Statement::Loop { body, continuing, break_if }, span);
                }
                other => out.push(other, span),
            }
        }
        out
    }

    /// The same expressions, with loads as calls.
    fn emit(&mut self, range: Range<Expression>, out: &mut Block) {
        let mut run: Option<(Handle<Expression>, Handle<Expression>)> = None;
        for handle in range {
            let Some(place) = self.loads.get(&handle).copied() else {
                run = Some(run.map_or((handle, handle), |(first, _)| (first, handle)));
                continue;
            };
            emit(run.take(), out);
            let indices = place.element.into_iter().chain(place.component);
            let arguments = indices.map(|i| self.index(i, out)).collect();
            let function = self.rewriter.loader(&place);
            out.push(
                Statement::Call { function, arguments, result: Some(handle) },
                Span::UNDEFINED,
            );
        }
        emit(run, out);
    }

    /// An index as the unsigned number that functions which load take.
    fn index(&mut self, index: Index, out: &mut Block) -> Handle<Expression> {
        match index {
            Index::Constant(n) => {
                self.expressions.append(Expression::Literal(Literal::U32(n)), Span::UNDEFINED)
            }
            Index::Computed(expr) => {
                let index = Expression::As { expr, kind: ScalarKind::Uint, convert: Some(4) };
                self.add(index, out)
            }
        }
    }

    fn add(&mut self, expression: Expression, out: &mut Block) -> Handle<Expression> {
        let handle = self.expressions.append(expression, Span::UNDEFINED);
        emit(Some((handle, handle)), out);
        handle
    }
}

fn emit(run: Option<(Handle<Expression>, Handle<Expression>)>, out: &mut Block) {
    if let Some((first, last)) = run {
        out.push(Statement::Emit(Range::new_from_bounds(first, last)), Span::UNDEFINED);
    }
}
