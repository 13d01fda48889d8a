//! What the store probe found, read from what it printed: a line for each figure, `name value`.

use std::collections::BTreeMap;

/// Figures of the probe; of several runs the median.
#[derive(Debug, Default)]
pub(super) struct Bounds(BTreeMap<String, Vec<f64>>);

impl Bounds {
    /// Reads the output of one or more runs. What is no figure is skipped: builds print there as well.
    pub(super) fn parse(text: &str) -> Bounds {
        let mut figures: BTreeMap<String, Vec<f64>> = BTreeMap::new();
        for line in text.lines() {
            let Some((name, value)) = line.trim().split_once(' ') else {
                continue;
            };
            if let Ok(value) = value.parse() {
                figures.entry(name.to_owned()).or_default().push(value);
            }
        }
        Bounds(figures)
    }

    /// A figure by its name.
    pub(super) fn get(&self, name: &str) -> Option<f64> {
        median(self.0.get(name)?.clone())
    }
}

/// The one in the middle, or the mean of the two there.
pub(super) fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let upper = *values.get(values.len() / 2)?;
    let lower = values[(values.len() - 1) / 2];
    Some(f64::midpoint(lower, upper))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_all_runs_counts() {
        let text =
            "   Compiling probe\ninsert_1 100\ncommit_p50_us 7\ninsert_1 300\ninsert_1 110\n";
        let bounds = Bounds::parse(text);
        assert_eq!(bounds.get("insert_1"), Some(110.0));
        assert_eq!(bounds.get("commit_p50_us"), Some(7.0));
        assert_eq!(bounds.get("insert_16"), None);
        assert_eq!(median(vec![4.0, 1.0]), Some(2.5));
        assert_eq!(median(vec![]), None);
    }
}
