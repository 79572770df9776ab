//! Under which names results come out: decided, and refused, before any work starts.

use super::Global;
use super::files::{Found, Input, resolved};
use super::paths::is_dash;
use crate::cli::say::say;
use crate::data::picture::Format;
use crate::{Error, ErrorKind, Result};
use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// What to do with a result that is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    /// Start nothing and say so.
    Refuse,
    /// Leave it as it is.
    Skip,
    /// Write over it.
    Overwrite,
}

/// Where results shall go.
#[derive(Debug)]
pub struct Wishes<'a> {
    /// File, folder, or `-`.
    pub output: Option<&'a Path>,
    /// Format of the images; without one, that of the name.
    pub format: Option<Format>,
    /// Folder of the sheets.
    pub sheet: Option<&'a Path>,
    /// Folder of the maps.
    pub maps: Option<&'a Path>,
    /// File of the report.
    pub json: Option<&'a Path>,
    /// Files that are read beside the images, which no result may replace.
    pub protected: Vec<&'a Path>,
    /// What to do with results that are there already.
    pub existing: Existing,
}

/// Where one super-resolved image goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Standard output, in this format or the input's.
    Stdout(Option<Format>),
    /// A file.
    File(PathBuf, Format),
}

/// One image with the names of its results.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    /// The image.
    pub input: Input,
    /// Its name below the folder.
    pub name: PathBuf,
    /// Where the super-resolved image goes.
    pub output: Option<Output>,
    /// Where the sheet goes.
    pub sheet: Option<PathBuf>,
    /// What the names of the maps begin with.
    pub maps: Option<PathBuf>,
}

impl Task {
    /// The files that are known before the work.
    fn files(&self) -> Vec<PathBuf> {
        let output = match &self.output {
            Some(Output::File(path, _)) => Some(path.clone()),
            _ => None,
        };
        let selected = self.maps.as_ref().map(|base| map_file(base, "selected"));
        [output, self.sheet.clone(), selected].into_iter().flatten().collect()
    }
}

/// File of the map `what` of an image whose maps begin with `base`.
pub fn map_file(base: &Path, what: &str) -> PathBuf {
    appended(base, &format!("-{what}.png"))
}

fn appended(path: &Path, end: &str) -> PathBuf {
    let mut text = OsString::from(path);
    text.push(end);
    text.into()
}

/// What is to be done.
#[derive(Debug)]
pub struct Tasks {
    /// The images that are left to do.
    pub list: Vec<Task>,
    /// How many are left out because all their results are there.
    pub skipped: usize,
    /// Images whose result cannot have their own name because another image has it, with the result.
    pub told_apart: Vec<(PathBuf, PathBuf)>,
}

/// Names the results of `found`.
///
/// # Errors
/// [`ErrorKind::Argument`] when a result would replace an input or another result, when one exists
/// and is not to be overwritten, and when the names do not say a format.
pub fn tasks(found: &Found, wishes: &Wishes) -> Result<Tasks> {
    if let (true, Some(out)) = (found.several, wishes.output) {
        folder_of_results(out)?;
    }
    let names = names(found, |name| match (Format::from_path(name), wishes.format) {
        (Ok(_), None) => name.into(),
        (Ok(own), Some(wanted)) if own == wanted => name.into(),
        (_, wanted) => name.with_extension(wanted.unwrap_or(Format::Png).extension()),
    });
    let figures = self::names(found, |name| name.with_extension("png"));
    let mut told_apart = Vec::new();
    let mut list = Vec::new();
    for (i, (input, name)) in found.images.iter().enumerate() {
        let output = match wishes.output {
            None => None,
            Some(out) if found.several => Some(in_folder(out, &names[i])),
            Some(out) => Some(single(out, input, &names[i], wishes.format)?),
        };
        if found.several && output.is_some() && names[i].file_stem() != name.file_stem() {
            told_apart.push((name.clone(), names[i].clone()));
        }
        let sheet = wishes.sheet.map(|folder| folder.join(&figures[i]));
        let maps = wishes.maps.map(|folder| folder.join(figures[i].with_extension("")));
        list.push(Task { input: input.clone(), name: name.clone(), output, sheet, maps });
    }
    let mut inputs: HashSet<PathBuf> = wishes.protected.iter().map(|p| resolved(p)).collect();
    inputs.extend(found.images.iter().filter_map(|(input, _)| match input {
        Input::Stdin => None,
        Input::File(path) => Some(resolved(path)),
    }));
    let json = wishes.json.filter(|p| !is_dash(p));
    distinct(list.iter().flat_map(Task::files).chain(json.map(Into::into)), &inputs)?;
    let skipped = existing(&mut list, json, wishes.existing)?;
    Ok(Tasks { list, skipped, told_apart })
}

/// Says what a user may not expect of the files.
pub fn say_notes(global: &Global, found: &Found, tasks: &Tasks) {
    if global.quiet {
        return;
    }
    if let Some(left) = found.left.note() {
        say!("note: {left}");
    }
    if let Some((name, output)) = tasks.told_apart.first() {
        let others = match tasks.told_apart.len() {
            1 => String::new(),
            n => format!(", and {} more likewise", n - 1),
        };
        let (name, output) = (name.display(), output.display());
        say!("note: {name} becomes {output}: another image has its name{others}");
    }
}

/// The names that `renamed` gives; where two images would have one, those that were renamed keep
/// their own extension in it.
fn names(found: &Found, renamed: impl Fn(&Path) -> PathBuf) -> Vec<PathBuf> {
    let mut count: HashMap<PathBuf, usize> = HashMap::new();
    for (_, name) in &found.images {
        *count.entry(renamed(name)).or_default() += 1;
    }
    let unique = |name: &PathBuf| -> PathBuf {
        let new = renamed(name);
        if new == *name || count[&new] == 1 {
            return new;
        }
        let own = format!("_{}.", name.extension().unwrap_or_default().to_string_lossy());
        let format = new.extension().unwrap_or_default().to_string_lossy();
        appended(&name.with_extension(""), &(own + &format))
    };
    found.images.iter().map(|(_, name)| unique(name)).collect()
}

fn in_folder(folder: &Path, name: &Path) -> Output {
    Output::File(folder.join(name), Format::from_path(name).unwrap_or(Format::Png))
}

/// Checks that results can go below `out`.
fn folder_of_results(out: &Path) -> Result<()> {
    let refuse = |got: &str| {
        Err(Error::new(ErrorKind::Argument, "--output", "results of several images")
            .expected("a folder")
            .got(got))
    };
    match out {
        _ if is_dash(out) => refuse("- (standard output holds one image)"),
        _ if out.is_dir() || ends_like_a_folder(out) => Ok(()),
        _ if out.exists() => refuse(&format!("{}, a file", out.display())),
        _ if Format::from_path(out).is_ok() => {
            refuse(&format!("{}, the name of an image", out.display()))
        }
        _ => Ok(()),
    }
}

fn ends_like_a_folder(path: &Path) -> bool {
    path.to_string_lossy().ends_with(std::path::is_separator)
}

/// Where the result of one image goes.
fn single(out: &Path, input: &Input, name: &Path, format: Option<Format>) -> Result<Output> {
    if is_dash(out) {
        return Ok(Output::Stdout(format));
    }
    if out.is_dir() || ends_like_a_folder(out) {
        return match input {
            Input::File(_) => Ok(in_folder(out, name)),
            Input::Stdin => Err(Error::new(ErrorKind::Argument, "--output", "name of the result")
                .expected("a file, because standard input has no name")
                .got(format!("{}, a folder", out.display()))),
        };
    }
    match (Format::from_path(out), format) {
        (Ok(own), None) => Ok(Output::File(out.into(), own)),
        (Ok(own), Some(wanted)) if own != wanted => {
            Err(Error::new(ErrorKind::Argument, out.display(), "format of the result")
                .expected(format!("{wanted}, as --format says"))
                .got(format!("a name that says {own}")))
        }
        (_, Some(wanted)) => Ok(Output::File(out.into(), wanted)),
        (Err(e), None) if out.extension().is_none() => {
            Err(e.hint("write a folder with / at its end"))
        }
        (Err(e), None) => Err(e),
    }
}

/// Checks that no two `files` are one, and none is one of `inputs`.
fn distinct(files: impl Iterator<Item = PathBuf>, inputs: &HashSet<PathBuf>) -> Result<()> {
    let mut seen = HashSet::new();
    for file in files {
        let real = resolved(&file);
        let refused = |what| Err(Error::new(ErrorKind::Argument, file.display(), what));
        if inputs.contains(&real) {
            return refused("the result would replace its input, which is never done")
                .map_err(|e| e.hint("give another name or another folder"));
        }
        if !seen.insert(real) {
            return refused("two results would have this name")
                .map_err(|e| e.hint("images, sheets and maps can go to folders of their own"));
        }
    }
    Ok(())
}

/// Applies the rule about results that are there: refuses, or takes out what is done already and
/// counts it.
fn existing(list: &mut Vec<Task>, json: Option<&Path>, rule: Existing) -> Result<usize> {
    let there = |path: &Path| path.symlink_metadata().is_ok();
    if rule == Existing::Overwrite {
        return Ok(0);
    }
    let mut files: Vec<PathBuf> = json.into_iter().map(Into::into).collect();
    let mut hint = "--overwrite writes over what is there, --skip-existing leaves it";
    if rule == Existing::Refuse {
        files.extend(list.iter().flat_map(Task::files));
    } else {
        hint = "a report is about one run: give it another name";
    }
    files.retain(|f| there(f));
    if let Some(first) = files.first() {
        let others = match files.len() {
            1 => "the result exists already".into(),
            2 => "this and 1 other result exist already".into(),
            n => format!("this and {} other results exist already", n - 1),
        };
        return Err(Error::new(ErrorKind::Argument, first.display(), others).hint(hint));
    }
    if rule == Existing::Refuse {
        return Ok(0);
    }
    let all = list.len();
    list.retain(|task| {
        let files = task.files();
        files.is_empty() || !files.iter().all(|f| there(f))
    });
    Ok(all - list.len())
}

#[cfg(test)]
mod tests {
    use super::super::files::find;
    use super::super::files::tests::{args, folder};
    use super::*;
    use std::fs;

    fn wishes<'a>(output: &'a Path, format: Option<Format>, existing: Existing) -> Wishes<'a> {
        let output = Some(output);
        let (sheet, maps, json) = (None, None, None);
        Wishes { output, format, sheet, maps, json, protected: vec![], existing }
    }

    fn outputs(tasks: &Tasks, below: &Path) -> Vec<String> {
        let name = |task: &Task| match &task.output {
            Some(Output::File(path, format)) => {
                assert_eq!(Format::from_path(path).unwrap(), *format);
                path.strip_prefix(below).unwrap().display().to_string()
            }
            other => format!("{other:?}"),
        };
        tasks.list.iter().map(name).collect()
    }

    #[test]
    fn names_that_would_fall_together_are_told_apart() {
        let input = folder(&["a.bmp", "a.jpeg", "a.png", "b.jpeg", "c.d.bmp"]);
        let found = find(&args(input.path(), false), &[]).unwrap();
        let out = Path::new("out");
        let named = |format| {
            let mut wishes = wishes(out, Some(format), Existing::Refuse);
            (wishes.sheet, wishes.maps) = (Some(Path::new("sheets")), Some(Path::new("maps")));
            tasks(&found, &wishes).unwrap()
        };
        let png = named(Format::Png);
        assert_eq!(outputs(&png, out), ["a_bmp.png", "a_jpeg.png", "a.png", "b.png", "c.d.png"]);
        assert_eq!(png.told_apart.len(), 2);
        let maps: Vec<_> =
            png.list.iter().map(|t| map_file(t.maps.as_ref().unwrap(), "x")).collect();
        assert_eq!(maps[1], Path::new("maps/a_jpeg-x.png"));
        assert_eq!(maps[4], Path::new("maps/c.d-x.png"));
        let jpeg = named(Format::Jpeg);
        assert_eq!(outputs(&jpeg, out), ["a_bmp.jpg", "a.jpeg", "a_png.jpg", "b.jpeg", "c.d.jpg"]);
        assert_eq!(jpeg.list[2].sheet.as_deref(), Some(Path::new("sheets/a.png")));
    }

    #[test]
    fn one_image_goes_where_the_output_says() {
        let input = folder(&["a.jpg", "photo"]);
        let image = |name: &str| find(&args(&input.path().join(name), false), &[]).unwrap();
        let output = |name: &str, out: &str, format| {
            let tasks = tasks(&image(name), &wishes(Path::new(out), format, Existing::Refuse));
            tasks.map(|t| t.list[0].output.clone().unwrap())
        };
        let file = |path: &str, format| Output::File(path.into(), format);
        assert_eq!(output("a.jpg", "x.webp", None).unwrap(), file("x.webp", Format::WebP));
        assert_eq!(output("a.jpg", "new/", None).unwrap(), file("new/a.jpg", Format::Jpeg));
        assert_eq!(output("photo", "new/", None).unwrap(), file("new/photo.png", Format::Png));
        assert_eq!(output("a.jpg", "x", Some(Format::Bmp)).unwrap(), file("x", Format::Bmp));
        assert_eq!(output("a.jpg", "-", None).unwrap(), Output::Stdout(None));
        let folder = find(&args(input.path(), false), &[]).unwrap();
        assert!(tasks(&folder, &wishes(Path::new("x.png"), None, Existing::Refuse)).is_err());
        assert!(tasks(&folder, &wishes(Path::new("x.png/"), None, Existing::Refuse)).is_ok());
        for (out, format) in [("x", None), ("x.tif", None), ("x.png", Some(Format::Jpeg))] {
            assert_eq!(output("a.jpg", out, format).unwrap_err().kind(), ErrorKind::Argument);
        }
    }

    #[test]
    fn no_way_leads_over_an_input() {
        let input = folder(&["in/a.png", "in/sub/b.png"]);
        let root = input.path();
        let found = find(&args(&root.join("in"), true), &[]).unwrap();
        let refused = |out: &Path| {
            let e = tasks(&found, &wishes(out, None, Existing::Overwrite)).unwrap_err();
            assert!(e.to_string().contains("replace its input"), "{e}");
        };
        refused(&root.join("in"));
        refused(&root.join("new/../in"));
        refused(&root.join("in/sub/.."));
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(root.join("in"), root.join("link")).unwrap();
            refused(&root.join("link"));
            // A folder of its own, in which only a part leads back.
            fs::create_dir(root.join("out")).unwrap();
            std::os::unix::fs::symlink(root.join("in/sub"), root.join("out/sub")).unwrap();
            refused(&root.join("out"));
        }
        let mut protected = wishes(Path::new("x"), None, Existing::Overwrite);
        let model = root.join("in/../model.json");
        protected.json = Some(&model);
        let weights = root.join("model.json");
        protected.protected = vec![&weights];
        assert!(tasks(&found, &protected).is_err());
    }

    #[test]
    fn results_that_are_there_decide_before_the_work() {
        let input = folder(&["a.png", "b.png", "c.png"]);
        let out = folder(&["a.png", "c.png"]);
        let found = find(&args(input.path(), false), &[]).unwrap();
        let with = |existing| tasks(&found, &wishes(out.path(), None, existing));
        let e = with(Existing::Refuse).unwrap_err().to_string();
        assert!(e.contains("a.png: this and 1 other result exist already"), "{e}");
        assert!(e.contains("--overwrite") && e.contains("--skip-existing"), "{e}");
        let skip = with(Existing::Skip).unwrap();
        assert_eq!((outputs(&skip, out.path()), skip.skipped), (vec!["b.png".into()], 2));
        assert_eq!(with(Existing::Overwrite).unwrap().list.len(), 3);
        // An image is left out only when all its results are there.
        let mut both = wishes(out.path(), None, Existing::Skip);
        let sheets = folder(&["a.png"]);
        both.sheet = Some(sheets.path());
        assert_eq!(tasks(&found, &both).unwrap().skipped, 1);
        // A sheet and an image cannot share a name.
        both.sheet = Some(out.path());
        assert!(tasks(&found, &both).is_err());
    }
}
