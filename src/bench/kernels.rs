//! Every operation of the table at the graphs' shapes, and at some larger ones.

use super::shapes;
use super::work::Work;
use crate::Result;
use crate::ops::TABLE;

/// Values that a case of the table must have to be a shape of the graphs, rather than one of the tests' small ones.
const SMALLEST: usize = 4096;

/// Shows `visit` every work whose name `wanted` likes, in the order of the table.
///
/// # Errors
/// The first of `visit`.
pub fn each_work(
    wanted: &dyn Fn(&str) -> bool,
    visit: &mut dyn FnMut(Work) -> Result<()>,
) -> Result<()> {
    let mut larger = shapes::larger();
    for row in TABLE {
        for case in (row.cases)().into_iter().filter(|c| c.bench) {
            let name = format!("{} {}", row.op, case.label);
            let values: usize = case.inputs.iter().map(|h| h.data.len()).sum();
            if values >= SMALLEST && wanted(&name) {
                let (inputs, run, flops) = (case.inputs, case.run, case.flops);
                visit(Work { name, inputs: Box::new(move || inputs.clone()), run, flops })?;
            }
        }
        let of_row = |w: &mut Work| w.name.split(' ').next() == Some(row.op);
        for work in larger.extract_if(.., of_row).filter(|w| wanted(&w.name)) {
            visit(work)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    #[test]
    fn larger_shapes_belong_to_rows_of_the_table_and_names_are_unlike() {
        for work in shapes::larger() {
            let op = work.name.split(' ').next().unwrap();
            assert!(TABLE.iter().any(|row| row.op == op), "{}", work.name);
        }
        let seen = RefCell::new(Vec::new());
        let look = |name: &str| {
            seen.borrow_mut().push(name.to_string());
            false
        };
        each_work(&look, &mut |work| panic!("{} was not wanted", work.name)).unwrap();
        let mut names = seen.into_inner();
        for part in [
            "conv2d [1, 8, 32, 512] → 512 3×3",
            "conv2d [8, 16, 64, 64] → 64 3×3",
            "conv2d [1, 8, 32, 512] → 512 1×1",
            "conv2d [1, 16, 64, 4] → 64 9×9",
            "conv2d [1, 32, 128, 64] → 4 9×9",
            "matmul [512, 512]·[512, 512]",
            "gru ",
            "attention ",
            "softmax ",
            "resize ",
            "layout permute",
        ] {
            assert!(names.iter().any(|n| n.starts_with(part)), "{part} is not measured");
        }
        let count = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), count, "two works of one name");
    }
}
