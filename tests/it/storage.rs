//! Where a world keeps its data: in files of SQLite, or on the PostgreSQL that `PLAZA_TEST_POSTGRES` names.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
};

use mesh::config::Secret;
use onebox::{Config, Part};
use tempfile::TempDir;

/// A folder and, on PostgreSQL, a schema for each service; gone with the value.
pub(crate) struct Storage {
    folder: TempDir,
    schemas: Option<Schemas>,
}

impl Storage {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a folder"), schemas: server().map(Schemas::create) }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// What a part's database holds, while the part is stopped.
    pub(crate) fn back_up(&self, part: Part) -> Backup {
        if let Some(schemas) = &self.schemas {
            return Backup::Dump(schemas.dump(part));
        }
        Backup::Files(
            self.files(part).into_iter().map(|file| (file.clone(), fs::read(&file).expect("a file"))).collect(),
        )
    }

    /// Takes everything away from a part, while it is stopped, and puts a backup in its place if there is one.
    pub(crate) fn restore(&self, part: Part, backup: Option<&Backup>) {
        match &self.schemas {
            Some(schemas) => schemas.again(part, backup.is_none()),
            None => self.files(part).into_iter().for_each(|file| fs::remove_file(file).expect("removed")),
        }
        match (backup, &self.schemas) {
            (Some(Backup::Dump(dump)), Some(schemas)) => schemas.load(dump),
            (Some(Backup::Files(files)), _) => {
                files.iter().for_each(|(file, bytes)| fs::write(file, bytes).expect("written"));
            }
            _ => {}
        }
    }

    /// The files of a part's database.
    fn files(&self, part: Part) -> Vec<PathBuf> {
        let name = format!("{part}.db");
        let entries = fs::read_dir(self.path().join("data")).expect("the data folder");
        let mut files: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
        files
            .retain(|file| file.file_name().and_then(|name| name.to_str()).is_some_and(|file| file.starts_with(&name)));
        files
    }

    /// The settings of a Plaza that keeps its data here.
    pub(crate) fn config(&self) -> Config {
        let mut config = Config::embedded(&self.path().join("data")).expect("the defaults hold");
        if let Some(schemas) = &self.schemas {
            config.sso.database_url = schemas.url(Part::Sso);
            config.sms.database_url = schemas.url(Part::Sms);
            config.social.database_url = schemas.url(Part::Social);
            config.blog.database_url = schemas.url(Part::Blog);
        }
        config
    }
}

/// What a database held.
#[derive(Clone)]
pub(crate) enum Backup {
    Files(Vec<(PathBuf, Vec<u8>)>),
    /// As `pg_dump` writes it.
    Dump(Vec<u8>),
}

/// Whether more than one process may have a database at once.
pub(crate) fn is_shared() -> bool {
    server().is_some()
}

#[allow(clippy::disallowed_methods, reason = "the edge of the tests")]
fn server() -> Option<String> {
    std::env::var("PLAZA_TEST_POSTGRES").ok()
}

/// Schemas rather than databases: PostgreSQL makes and drops them without copying files.
struct Schemas {
    server: String,
    name: String,
}

impl Schemas {
    fn create(server: String) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("plaza_it_{}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let schemas = Self { server, name };
        let create = |schema| format!("DROP SCHEMA IF EXISTS {schema} CASCADE; CREATE SCHEMA {schema};");
        schemas.each(create).expect("PLAZA_TEST_POSTGRES names a server where schemas may be made");
        schemas
    }

    fn each(&self, statement: impl Fn(String) -> String) -> Result<(), db::OpenError> {
        let sql: String = Part::ALL.into_iter().map(|part| statement(self.schema(part))).collect();
        db::script(&self.server, &sql)
    }

    fn schema(&self, part: Part) -> String {
        format!("{}_{part}", self.name)
    }

    fn dump(&self, part: Part) -> Vec<u8> {
        let dumped = Command::new("pg_dump").args(["--schema", &self.schema(part), &self.server]).output();
        let dumped = dumped.expect("pg_dump is there");
        assert!(dumped.status.success(), "{}", String::from_utf8_lossy(&dumped.stderr));
        dumped.stdout
    }

    /// A dump makes its schema itself.
    fn again(&self, part: Part, create: bool) {
        let schema = self.schema(part);
        let create = if create { format!("CREATE SCHEMA {schema}") } else { String::new() };
        db::script(&self.server, &format!("DROP SCHEMA {schema} CASCADE; {create}")).expect("dropped");
    }

    fn load(&self, dump: &[u8]) {
        let mut psql = Command::new("psql");
        psql.args(["-qX", "-v", "ON_ERROR_STOP=1", &self.server]).stdin(Stdio::piped()).stdout(Stdio::null());
        let mut psql = psql.spawn().expect("psql is there");
        psql.stdin.take().expect("a pipe").write_all(dump).expect("read");
        assert!(psql.wait().expect("it ends").success());
    }

    /// The server's address, where nothing but a service's own schema is looked into.
    fn url(&self, part: Part) -> Secret {
        let and = if self.server.contains('?') { '&' } else { '?' };
        Secret::new(format!("{}{and}options=-csearch_path%3D{}", self.server, self.schema(part)))
    }
}

impl Drop for Schemas {
    fn drop(&mut self) {
        // A server that is gone keeps nothing.
        let _ = self.each(|schema| format!("DROP SCHEMA {schema} CASCADE;"));
    }
}
