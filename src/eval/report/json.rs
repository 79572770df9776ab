//! An evaluation as JSON.

use super::Subject;
use crate::data::metrics::mcnemar;
use crate::eval::evaluation::{Evaluation, SetResult};
use crate::eval::notes::notes;
use crate::eval::published::{COLUMNS, beside, nearness_beside};
use crate::eval::score::Nearness;
use crate::eval::seeds::over_seeds;
use serde_json::{Map, Value, json};

impl Evaluation {
    /// Every figure. `super_resolved`, `readability` and what is derived of them are those of the first method and judge;
    /// `methods` has all of them.
    pub fn json(&self, subject: &Subject) -> Value {
        let own = |i: usize, names: &[String], from: &[String]| json!({ "name": names[i], "from": from.get(i) });
        let methods = 0..self.methods.len();
        let judges = 0..self.judges.len();
        let published: Vec<Value> = beside(self)
            .into_iter()
            .map(|b| {
                let figures: Map<String, Value> = COLUMNS
                    .iter()
                    .zip(b.ours.into_iter().zip(b.published))
                    .map(|(name, (ours, published))| {
                        let difference = ours.map(|ours| ours - published);
                        let figure = json!({
                            "ours": ours, "published": published, "difference": difference,
                        });
                        (name.to_string(), figure)
                    })
                    .collect();
                json!({ "judge": b.judge, "row": b.row, "percent": figures })
            })
            .collect();
        let near = |(row, ours, published): (&str, Nearness, Nearness)| json!({ "row": row, "ours": ours, "published": published });
        let published_nearness: Vec<Value> = nearness_beside(self).into_iter().map(near).collect();
        json!({
            "program": "lemma-gpu",
            "version": env!("CARGO_PKG_VERSION"),
            "protocol": subject.protocol,
            "model": subject.models.first(),
            "judge": subject.judges.first(),
            "adapter": subject.adapter,
            "methods": methods.map(|i| own(i, &self.methods, &subject.models)).collect::<Vec<_>>(),
            "judges": judges.map(|i| own(i, &self.judges, &subject.judges)).collect::<Vec<_>>(),
            "sets": self.sets.iter().map(|s| set(self, s)).collect::<Vec<_>>(),
            "all": all(self),
            "over_seeds": over_seeds(self),
            "published": published,
            "published_nearness": published_nearness,
            "notes": notes(self),
        })
    }
}

fn set(evaluation: &Evaluation, s: &SetResult) -> Value {
    let method = |(m, name): (usize, &String)| {
        let result = &s.methods[m];
        let judge = |(j, name): (usize, &String)| {
            let reading = &result.judges[j];
            let (own, first) = reading.against_first;
            let mut value = json!({
                "name": name,
                "readability": reading.words,
                "at_most_1024_pixels": reading.small,
            });
            if m > 0 {
                value["against_first"] = json!({
                    "only_it_right": own, "only_first_right": first, "mcnemar_p": mcnemar(own, first),
                });
            }
            value
        };
        let judges: Vec<Value> = evaluation.judges.iter().enumerate().map(judge).collect();
        json!({ "name": name, "nearness": result.near, "judges": judges })
    };
    let first = s.methods.first();
    let mut value = json!({
        "name": s.name,
        "images": s.images,
        "images_of_at_most_1024_pixels": s.small_images,
        "batches": s.bicubic.batches(),
        "left_out": s.left_out,
        "unusual_labels": s.unusual_labels,
        "bicubic": s.bicubic,
        "super_resolved": first.map(|m| &m.near),
        "readability": first.and_then(|m| m.judges.first()).map(|r| &r.words),
        "methods": evaluation.methods.iter().enumerate().map(method).collect::<Vec<_>>(),
    });
    if let Some(seed) = s.seed {
        value["seed"] = seed.into();
    }
    value
}

fn all(evaluation: &Evaluation) -> Value {
    let method = |(m, name): (usize, &String)| {
        let judge = |(j, name): (usize, &String)| {
            json!({
                "name": name,
                "readability": evaluation.readability(m, j),
                "weighted_accuracy_lr_sr_hr": evaluation.weighted_accuracy(m, j),
            })
        };
        let judges: Vec<Value> = evaluation.judges.iter().enumerate().map(judge).collect();
        json!({
            "name": name,
            "nearness_mean_of_sets": evaluation.nearness(Some(m)),
            "nearness_weighted": evaluation.weighted_nearness(Some(m)),
            "judges": judges,
        })
    };
    let first = (!evaluation.methods.is_empty()).then_some(0);
    json!({
        "images": evaluation.images(),
        "left_out": evaluation.left_out(),
        "nearness_mean_of_sets": [evaluation.nearness(None), evaluation.nearness(first)],
        "bicubic_nearness_weighted": evaluation.weighted_nearness(None),
        "readability": evaluation.readability(0, 0),
        "weighted_accuracy_lr_sr_hr": evaluation.weighted_accuracy(0, 0),
        "methods": evaluation.methods.iter().enumerate().map(method).collect::<Vec<_>>(),
    })
}
