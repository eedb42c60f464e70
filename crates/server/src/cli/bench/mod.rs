//! `ostracon bench`: what the prefilter is worth, on this machine, this disk and at these sizes.

mod checks;
mod shown;
mod store;
mod writes;

use std::{fs, io::Write as _, path::PathBuf, process, thread};

use anyhow::{Context as _, anyhow, ensure};
use ostracon_store::FALSE_POSITIVE_RATES;

use self::{shown::Measured, store::Pair};
use super::{Usage, serve::told_to_end};

const HELP: &str = r"A store of the size is made twice, with the prefilter and without it, and both are asked the same, in turns.
Each turn shows by the store's own counters that it went the way that its name says.
Exit status: 0 when all was measured, 1 when something failed, 2 when the command line cannot be used.";

/// What is measured.
#[derive(clap::Args)]
#[command(after_help = HELP)]
pub(super) struct Arguments {
    /// How many revocations are listed; several with commas in between, 10k and 1M for thousands and millions
    #[arg(long, value_name = "COUNTS", default_value = "10k,100k,1M", value_delimiter = ',', value_parser = count)]
    entries: Vec<u64>,
    /// On which disk: a directory, in which one is made and removed again [default: the system's for temporary files]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// The share of unlisted tokens that the prefilter may let through to the disk
    #[arg(long, value_name = "RATE", default_value_t = 0.001)]
    false_positive_rate: f64,
    /// Where to put a plot of it, as SVG
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
    /// One object of JSON, with times in nanoseconds
    #[arg(long)]
    json: bool,
}

pub(super) fn bench(arguments: &Arguments) -> anyhow::Result<()> {
    let rate = arguments.false_positive_rate;
    if !FALSE_POSITIVE_RATES.contains(&rate) {
        let (least, most) = (FALSE_POSITIVE_RATES.start(), FALSE_POSITIVE_RATES.end());
        return Err(usage(format!("--false-positive-rate: {least} to {most} is possible")));
    }
    let mut sizes = arguments.entries.clone();
    sizes.sort_unstable();
    sizes.dedup();
    let dir = temporary(arguments.dir.as_deref())?;
    // Now, and not behind a minute of measuring.
    let plot = arguments.plot.as_ref().map(|path| {
        let made = fs::File::create(path);
        made.map_err(|error| usage(format!("--plot: {} cannot be written: {error}", path.display())))
    });
    let plot = plot.transpose()?;
    remove_when_told(dir.path().to_owned())?;
    let mut all = Vec::new();
    for entries in sizes {
        let pair = Pair::filled(dir.path(), entries, rate)?;
        let checks = checks::measure(&pair)?;
        let writes = writes::measure(&pair)?;
        all.push(Measured::new(&pair, checks, writes)?);
        pair.remove()?;
    }
    if let Some(mut plot) = plot {
        plot.write_all(shown::plot(&all)?.as_bytes())
            .context("the plot cannot be written")?;
    }
    let told = if arguments.json {
        shown::json(&all, rate)
    } else {
        shown::table(&all, rate)
    };
    std::io::stdout().write_all(told.as_bytes())?;
    Ok(())
}

fn temporary(within: Option<&std::path::Path>) -> anyhow::Result<tempfile::TempDir> {
    let mut made = tempfile::Builder::new();
    made.prefix("ostracon-bench-");
    let dir = match within {
        Some(within) => made.tempdir_in(within),
        None => made.tempdir(),
    };
    dir.map_err(|error| usage(format!("--dir: no directory can be made there: {error}")))
}

/// Leaves nothing of `dir` when the process is told to end: a store of ten million takes gigabytes.
fn remove_when_told(dir: PathBuf) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let told = {
        let _within = runtime.enter();
        told_to_end()?
    };
    thread::spawn(move || {
        runtime.block_on(told);
        // The stores are open, and may make another file while these are removed.
        (0..100).find(|_| fs::remove_dir_all(&dir).is_ok() || !dir.exists());
        eprintln!("told to end before all was measured; nothing is left behind");
        process::exit(1);
    });
    Ok(())
}

fn usage(problem: String) -> anyhow::Error {
    Usage(problem).into()
}

/// A count as people write it. In a smaller store than of 1,000 there is nothing to be seen.
fn count(text: &str) -> Result<u64, anyhow::Error> {
    let (digits, factor) = match text.strip_suffix(['k', 'K']) {
        Some(digits) => (digits, 1_000),
        None => match text.strip_suffix(['m', 'M']) {
            Some(digits) => (digits, 1_000_000),
            None => (text, 1),
        },
    };
    let count: u64 = digits
        .parse()
        .map_err(|_| anyhow!("a number such as 10000, 10k or 1M is needed"))?;
    let count = count.saturating_mul(factor);
    ensure!((1_000..=100_000_000).contains(&count), "1k to 100M is possible");
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_written_as_people_do() {
        let good = ["1000", "10k", "1M", "100m"].map(|text| count(text).unwrap());
        assert_eq!(good, [1_000, 10_000, 1_000_000, 100_000_000]);
        for bad in [
            "",
            "k",
            "999",
            "101M",
            "1.5M",
            "-1k",
            "99999999999999999999k",
            "18446744073709551615M",
        ] {
            assert!(count(bad).is_err(), "{bad}");
        }
    }
}
