//! A new configuration: read, compared, put in place, or refused with every reason.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use tokio::task::spawn_blocking;

use super::App;
use crate::{
    admin::{Complaint, Reloaded},
    config::{self, Loaded, Problem, Problems, Severity},
    observe::Events,
};

/// Why a reload is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// Somebody asked, and is told whatever comes of it.
    Asked,
    /// The files may have changed. What was told already is not told again: a
    /// refused file stays refused at every look.
    Noticed,
}

/// The configuration file, and what became of it the last time.
#[derive(Debug)]
pub(super) struct Reloads {
    path: PathBuf,
    /// Every file that matters, the configuration's first.
    files: Vec<PathBuf>,
    /// The folders that may still be read; `None`: any.
    reach: Option<Vec<PathBuf>>,
    /// Why the content on disk is not what runs, as it was told.
    refused: Option<Vec<String>>,
}

impl Reloads {
    /// Of the file at `path`, which was read once and made of `files`; further ones are
    /// read within `reach` only.
    pub(super) fn of(path: PathBuf, files: &[PathBuf], reach: Option<Vec<PathBuf>>) -> Self {
        let files = all_files(&path, files);
        Self {
            path,
            files,
            reach,
            refused: None,
        }
    }

    /// The configuration file.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Every file whose change may be a new configuration.
    pub(super) fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// Reads the file, and makes it what `app` serves unless it is that already.
    ///
    /// Whatever is wrong changes nothing in `app`, and is told in full; what comes back says
    /// the same to whoever asked.
    pub(super) async fn reload(&mut self, app: &mut App, cause: Cause) -> Reloaded {
        let running = app.running();
        let loaded = match read(
            self.path.clone(),
            running.generation + 1,
            self.reach.clone(),
        )
        .await
        {
            Ok(loaded) => loaded,
            Err(why) => return self.refuse(app, cause, why),
        };
        self.files = all_files(&self.path, &loaded.files);
        if loaded.snapshot.digest == running.digest {
            let was_refused = self.refused.take().is_some();
            if cause == Cause::Asked || was_refused {
                app.outside
                    .events
                    .configuration_unchanged(running.generation);
            }
            let generation = running.generation;
            return Reloaded::Unchanged { generation };
        }
        match app.apply(Arc::clone(&loaded.snapshot)).await {
            Ok(()) => {
                self.refused = None;
                warn(&app.outside.events, &loaded.warnings);
                Reloaded::Applied {
                    generation: loaded.snapshot.generation,
                    warnings: loaded.warnings.iter().map(Complaint::from).collect(),
                }
            }
            Err(why) => self.refuse(app, cause, Why::of_machine(why.to_string())),
        }
    }

    fn refuse(&mut self, app: &App, cause: Cause, why: Why) -> Reloaded {
        let known = self.refused.as_ref() == Some(&why.lines);
        let running = app.running().generation;
        if cause == Cause::Asked || !known {
            app.outside
                .events
                .configuration_refused(running, &why.lines);
        }
        self.refused = Some(why.lines);
        Reloaded::Refused {
            running,
            problems: why.problems,
        }
    }
}

/// Why a configuration is refused: for people, one line each, and for programs.
struct Why {
    lines: Vec<String>,
    problems: Vec<Complaint>,
}

impl Why {
    fn of(problems: &Problems) -> Self {
        Self {
            lines: errors(problems),
            problems: problems.iter().map(Complaint::from).collect(),
        }
    }

    fn of_machine(what: String) -> Self {
        Self {
            lines: vec![what.clone()],
            problems: vec![Complaint::of_machine(what)],
        }
    }
}

/// Loads `path` off this thread; a disk that hangs holds up nothing but this.
///
/// Errs with each problem that refuses it.
async fn read(path: PathBuf, generation: u64, reach: Option<Vec<PathBuf>>) -> Result<Loaded, Why> {
    let name = path.display().to_string();
    match spawn_blocking(move || config::load_within(&path, generation, reach)).await {
        Ok(loaded) => loaded.map_err(|problems| Why::of(&problems)),
        Err(panic) => {
            let what = format!("{name}: reading it failed: {panic}");
            Err(Why::of_machine(what))
        }
    }
}

/// The lines of what refuses a file.
pub(super) fn errors(problems: &Problems) -> Vec<String> {
    let errors = problems
        .iter()
        .filter(|problem| problem.severity() == Severity::Error);
    errors.map(ToString::to_string).collect()
}

/// Says what may surprise somebody.
pub(super) fn warn(events: &Events, warnings: &[Problem]) {
    for warning in warnings {
        events.configuration_warning(warning);
    }
}

/// The configuration at `path`, and the `files` it names from its own folder.
pub(super) fn all_files(path: &Path, files: &[PathBuf]) -> Vec<PathBuf> {
    let folder = path.parent().unwrap_or_else(|| Path::new(""));
    let named = files.iter().map(|file| folder.join(file));
    [path.to_owned()].into_iter().chain(named).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_a_configuration_names_start_at_its_folder() {
        let named = ["ca.pem", "/etc/ssl/ca.pem"].map(PathBuf::from);
        let files = all_files(Path::new("conf/edge.toml"), &named);
        assert_eq!(
            files,
            ["conf/edge.toml", "conf/ca.pem", "/etc/ssl/ca.pem"].map(PathBuf::from)
        );
        assert_eq!(
            all_files(Path::new("edge.toml"), &named)[1],
            Path::new("ca.pem")
        );
    }
}
