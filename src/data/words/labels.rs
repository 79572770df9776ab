//! Files of labels, in the forms that recognition tools write: a file's name and what is written there on each line.
//!
//! ```text
//! word_1.png⇥Joint            a tab between; further columns are passed over
//! word_1.png Joint            a blank
//! filename,words              commas, with a header that names the columns …
//! word_1.png,Joint            … or without, and quotes where a label has commas
//! word_1.png, "Joint"         ICDAR's
//! ```

use crate::data::picture::{Kind, Unread};
use crate::{Error, ErrorKind, Result};
use std::borrow::Cow;
use std::path::Path;

/// What such files are called; the first that is there counts.
pub const NAMES: [&str; 4] = ["labels.tsv", "gt.txt", "labels.txt", "labels.csv"];

/// A file's name and its label.
pub type Entry = (String, String);

/// The entries of a file of labels with this content; `place` names it in errors.
///
/// # Errors
/// [`ErrorKind::Format`] when it is not UTF-8, or no file of labels.
pub fn read(bytes: &[u8], place: &str) -> Result<Vec<Entry>> {
    let bad = |what: String| Error::new(ErrorKind::Format, place, what);
    let text = text(bytes).map_err(|(what, way)| bad(what).expected("UTF-8").hint(way))?;
    let lines: Vec<(usize, &str)> =
        text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()).collect();
    let Some(&(_, first)) = lines.first() else { return Ok(Vec::new()) };
    let Some(form) = Form::of(&lines) else {
        let shown: String = first.chars().take(60).collect();
        return Err(bad("a file of labels".into())
            .expected("a file's name, a tab and its label on each line")
            .got(format!("{shown:?}")));
    };
    let header = Header::of(form, first);
    let lines = lines.into_iter().skip(usize::from(header.is_some()));
    let entry = |(i, line)| {
        form.entry(line, header.as_ref()).map_err(|what| bad(format!("line {}: {what}", i + 1)))
    };
    lines.map(entry).filter(|e| e.as_ref().map_or(true, |(file, _)| !file.is_empty())).collect()
}

/// The text of a file without its mark; or what is wrong with it, and what to do.
fn text(bytes: &[u8]) -> Result<Cow<'_, str>, (String, &'static str)> {
    const FROM_UTF_16: &str = "iconv -f UTF-16 -t UTF-8 FILE > NEW, or save it as UTF-8";
    let zeros = bytes.iter().filter(|b| **b == 0).count();
    if bytes.starts_with(&[0xFF, 0xFE])
        || bytes.starts_with(&[0xFE, 0xFF])
        || 4 * zeros > bytes.len()
    {
        return Err(("labels in UTF-16".into(), FROM_UTF_16));
    }
    let line = |end: usize| bytes[..end].iter().filter(|b| **b == b'\n').count() + 1;
    if let Some(at) = bytes.iter().position(|b| *b == 0) {
        let what = format!("labels with a zero in line {}", line(at));
        return Err((what, "the file is damaged, or no text"));
    }
    let text = std::str::from_utf8(bytes).map_err(|e| {
        let what = format!("labels in another encoding, as line {} shows", line(e.valid_up_to()));
        (what, "iconv -f WINDOWS-1252 -t UTF-8 FILE > NEW, or save it as UTF-8")
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    // Where no line ends in a line feed, carriage returns end them.
    Ok(if text.contains('\n') { text.into() } else { text.replace('\r', "\n").into() })
}

/// What stands between a name and its label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Tab,
    Comma,
    Blank,
}

impl Form {
    /// The form that most lines have; tabs win.
    fn of(lines: &[(usize, &str)]) -> Option<Self> {
        let count = |form: Form| lines.iter().filter(|(_, line)| form.splits(line)).count();
        let all = [Form::Tab, Form::Comma, Form::Blank].map(|form| (form, count(form)));
        let most = all.iter().find(|(_, n)| 2 * n >= lines.len()).filter(|(_, n)| *n > 0);
        most.or(all[..1].iter().find(|(_, n)| *n > 0)).map(|(form, _)| *form)
    }

    fn splits(self, line: &str) -> bool {
        match self {
            Form::Tab => line.contains('\t'),
            Form::Comma => {
                let columns = fields(line).unwrap_or_default();
                columns.len() > 1 && columns.iter().any(|c| is_name(c))
            }
            Form::Blank => behind_name(line).is_some(),
        }
    }

    fn columns(self, line: &str) -> Result<Vec<String>, &'static str> {
        match self {
            Form::Tab => Ok(line.split('\t').map(Into::into).collect()),
            Form::Comma => fields(line),
            Form::Blank => {
                let line = line.trim();
                let at = behind_name(line).or(line.find(char::is_whitespace)).unwrap_or(line.len());
                Ok(vec![line[..at].into(), line[at..].trim().into()])
            }
        }
    }

    fn entry(self, line: &str, header: Option<&Header>) -> Result<Entry, &'static str> {
        let columns = self.columns(line)?;
        let (file, label) = header.map_or((0, 1), |h| (h.file, h.label));
        match (self, header) {
            (Form::Comma, Some(header)) if columns.len() != header.columns => {
                return Err("more or fewer columns than the header has");
            }
            (Form::Comma, None) if columns.len() > 2 => {
                return Err("more than two columns: a label with a comma stands in quotes");
            }
            _ => {}
        }
        let column = |i: usize| columns.get(i).cloned().unwrap_or_default();
        Ok((column(file).trim().into(), column(label)))
    }
}

/// Which columns a first line names.
struct Header {
    file: usize,
    label: usize,
    columns: usize,
}

impl Header {
    fn of(form: Form, line: &str) -> Option<Self> {
        const FILE: [&str; 11] = [
            "file",
            "filename",
            "file_name",
            "filepath",
            "image",
            "image_name",
            "image_path",
            "img",
            "img_name",
            "name",
            "path",
        ];
        const LABEL: [&str; 8] =
            ["label", "labels", "word", "words", "text", "transcription", "gt", "ground_truth"];
        let columns = match form {
            Form::Blank => line.split_whitespace().map(Into::into).collect(),
            form => form.columns(line).ok()?,
        };
        let find = |names: &[&str]| {
            columns.iter().position(|c| names.contains(&c.trim().to_lowercase().as_str()))
        };
        let (file, label) = (find(&FILE)?, find(&LABEL));
        if label.is_none() && columns[0].trim() != "file" {
            return None;
        }
        let next = if file == 0 { 1 } else { 0 };
        Some(Header { file, label: label.unwrap_or(next), columns: columns.len() })
    }
}

/// Whether a column is the name of an image.
fn is_name(column: &str) -> bool {
    let path = Path::new(column.trim());
    Kind::from_path(path).is_some() || Unread::from_path(path).is_some()
}

/// Where the name of an image ends that a line begins with and a blank follows; names may have blanks, too.
fn behind_name(line: &str) -> Option<usize> {
    let mut blanks = line.char_indices().filter(|(_, c)| c.is_whitespace()).map(|(at, _)| at);
    blanks.find(|at| is_name(&line[..*at]))
}

/// The columns between commas. Quotes hold commas; in them a quote is doubled or behind a backslash.
fn fields(line: &str) -> Result<Vec<String>, &'static str> {
    let mut fields = Vec::new();
    let mut rest = line.trim_end();
    loop {
        rest = rest.trim_start();
        let Some(quoted) = rest.strip_prefix('"') else {
            let (field, more) = rest.split_once(',').map_or((rest, None), |(f, m)| (f, Some(m)));
            fields.push(field.trim_end().into());
            let Some(more) = more else { return Ok(fields) };
            rest = more;
            continue;
        };
        let mut field = String::new();
        let mut chars = quoted.char_indices().peekable();
        let end = loop {
            let Some((at, c)) = chars.next() else { return Err("a quote is not closed") };
            let next = chars.peek().map(|(_, c)| *c);
            match (c, next) {
                ('"', Some('"')) | ('\\', Some('"' | '\\')) => {
                    field.extend(next);
                    chars.next();
                }
                ('"', _) => break at + 1,
                _ => field.push(c),
            }
        };
        fields.push(field);
        rest = quoted[end..].trim_start();
        match rest.strip_prefix(',') {
            Some(more) => rest = more,
            None if rest.is_empty() => return Ok(fields),
            None => return Err("something stands behind a quote"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn entries(text: &str, want: &[(&str, &str)]) {
        let found = read(text.as_bytes(), "labels").unwrap();
        let found: Vec<(&str, &str)> = found.iter().map(|(f, l)| (&f[..], &l[..])).collect();
        assert_eq!(found, want, "{text:?}");
    }

    #[test]
    fn every_form_is_read() {
        let want = [("a.png", "Joint"), ("b.jpg", "It's 5")];
        for text in [
            "a.png\tJoint\nb.jpg\tIt's 5\n",
            "file\tlabel\tlr\na.png\tJoint\tx\nb.jpg\tIt's 5\n",
            "filename\twords\r\na.png\tJoint\r\n\r\nb.jpg\tIt's 5\r\n",
            "\u{feff}a.png Joint\nb.jpg It's 5",
            "a.png  Joint \rb.jpg It's 5\r",
            "filename,words\na.png,Joint\nb.jpg,It's 5\n",
            "id,text,image\n1,Joint,a.png\n2,\"It's 5\",b.jpg\n",
            "a.png, \"Joint\"\nb.jpg, \"It's 5\"\n",
            "a.png,Joint\nb.jpg,It's 5\n",
            "image text\na.png Joint\nb.jpg It's 5\n",
        ] {
            entries(text, &want);
        }
        entries("my file.png a word\n", &[("my file.png", "a word")]);
        entries("a.png, \"say \"\"a, b\"\"\"\n", &[("a.png", "say \"a, b\"")]);
        entries("a.png, \"\\\"Hi\\\"\"\n", &[("a.png", "\"Hi\"")]);
        entries(
            "a.png\t1,000\nb.png\tx y\nno tab\n",
            &[("a.png", "1,000"), ("b.png", "x y"), ("no tab", "")],
        );
        entries("word_1\tJoint\n", &[("word_1", "Joint")]);
        entries("a.png\t\"quoted\"\n", &[("a.png", "\"quoted\"")]);
        entries("", &[]);
        entries("\n \r\n", &[]);
    }

    #[test]
    fn what_is_no_file_of_labels_is_told_in_a_line() {
        let utf_16: Vec<u8> = "a.png\tJoint\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
        let marked = [&[0xFF, 0xFE][..], &utf_16].concat();
        let cases: [(&[u8], &str); 8] = [
            (&utf_16, "labels in UTF-16"),
            (&marked, "labels in UTF-16"),
            (b"a.png\tcaf\xe9\n", "another encoding, as line 1 shows"),
            (b"a.png\tx\nb.png\t\0y\n", "a zero in line 2"),
            (b"one two\nthree\n", "a file of labels: expected a file's name, a tab"),
            (b"a.png,x,y\n", "line 1: more than two columns"),
            (b"file,label\na.png,x\nb.png,x,y\n", "line 3: more or fewer columns"),
            (b"a.png, \"x\nb.png, \"y\"\nc.png, \"z\"\n", "line 1: a quote is not closed"),
        ];
        for (bytes, says) in cases {
            let e = read(bytes, "set/gt.txt").unwrap_err();
            assert_eq!(e.kind(), ErrorKind::Format);
            let e = e.to_string();
            assert!(e.starts_with("set/gt.txt: ") && e.contains(says), "{e}");
            assert!(!e.contains('\0') && e.lines().count() <= 2, "{e}");
        }
    }

    #[test]
    fn any_bytes_give_entries_or_an_error() {
        let mut random = crate::data::random::Random::new(&[13]);
        let parts = ["a.png", "\t", ",", " ", "\"", "\\", "\n", "\r", "file", "é", "label", "x"];
        for _ in 0..3000 {
            let n = random.below(24);
            let text: String = (0..n).map(|_| parts[random.below(parts.len())]).collect();
            let _ = read(text.as_bytes(), "x");
        }
    }
}
