//! `rollbook import FILE`: imports a file of activities without a server.
//!
//! It does the same as `POST /v1/imports`: the file is stored first, and then worked on. A server that runs beside it on the same
//! database may do the work. If this command is ended, a server or the same command continues where it was.

use std::io::{BufWriter, Read, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use uuid::Uuid;

use crate::base::ids::OrgId;
use crate::cli::{CliError, open_migrated_store};
use crate::config::DatabaseArgs;
use crate::imports::{
    Delimiter, FileEncoding, ImportFormat, ImportLimits, ImportOptions, ImportTerms, Importer, MAPPING_NAMES,
    NamedOptions, check_beginning, write_error_page,
};
use crate::record::{Actor, Identifier};
use crate::store::{ImportStatus, NewImport, Recorder, Store, StoredImport, Upload};

/// The bytes that are read from the file at once.
const PIECE_BYTES: usize = 256 * 1024;

/// The name of this command as the sender of records.
const SENDER: &str = "rollbook import";

/// The flags for a file of activities.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Files of activities")]
pub struct RowArgs {
    /// The organisation
    #[arg(long = "org", value_name = "ID")]
    pub org: Option<OrgId>,

    /// Create the organisation if it does not exist
    #[arg(long)]
    pub create: bool,

    /// The name of a mapping, or a file with a mapping as JSON
    #[arg(long, value_name = "NAME|FILE")]
    pub mapping: Option<String>,

    /// The format: csv or ndjson; by default the first character decides
    #[arg(long, value_name = "FORMAT")]
    pub format: Option<ImportFormat>,

    /// The delimiter of a CSV: comma, semicolon or tab; by default the one that the headings have
    #[arg(long, value_name = "NAME")]
    pub delimiter: Option<Delimiter>,

    /// The encoding: utf-8, utf-16le, utf-16be or windows-1252; by default UTF-8, or UTF-16 with a byte order mark
    #[arg(long, value_name = "NAME")]
    pub encoding: Option<FileEncoding>,

    /// For a named mapping: the IANA time zone of times without an offset
    #[arg(long, value_name = "ZONE")]
    pub time_zone: Option<String>,

    /// For a named mapping: the format of dates, for example `day_first`
    #[arg(long, value_name = "FORMAT")]
    pub date_format: Option<String>,

    /// For a mapping of Moodle: the address of the site
    #[arg(long, value_name = "URL")]
    pub home_page: Option<String>,

    /// Write the rejected rows to this file, as CSV
    #[arg(long, value_name = "FILE")]
    pub errors: Option<PathBuf>,
}

impl RowArgs {
    fn options(&self) -> Result<ImportOptions, CliError> {
        let mut options = ImportOptions {
            format: self.format,
            delimiter: self.delimiter,
            encoding: self.encoding,
            ..ImportOptions::default()
        };
        let named = NamedOptions {
            time_zone: self.time_zone.clone(),
            date_format: self.date_format.clone(),
            home_page: self.home_page.clone(),
        };
        if let Some(mapping) = &self.mapping {
            let is_name = MAPPING_NAMES.iter().any(|(name, _)| name == mapping);
            let path = PathBuf::from(mapping);
            let text = if is_name || !path.exists() {
                mapping.clone()
            } else {
                std::fs::read_to_string(&path).map_err(|source| CliError::File { path, source })?
            };
            options.set_mapping(&text, &named).map_err(CliError::Refused)?;
        } else if named != NamedOptions::default() {
            return Err(CliError::Refused(
                "`--time-zone`, `--date-format` and `--home-page` need `--mapping`".to_owned(),
            ));
        }
        Ok(options)
    }
}

/// Stores the file, works on it, and prints how it ended.
pub(super) async fn import_file(
    path: &Path,
    rows: &RowArgs,
    limits: ImportLimits,
    database: &DatabaseArgs,
) -> Result<(), CliError> {
    let Some(organisation) = &rows.org else {
        return Err(CliError::Refused(
            "name the organisation of a file of activities with `--org ID`".to_owned(),
        ));
    };
    let options = rows.options()?;
    let store = open_migrated_store(database).await?;
    let outcome = store_and_work(&store, organisation, path, rows, limits, &options).await;
    store.close().await;
    outcome
}

async fn store_and_work(
    store: &Store,
    organisation: &OrgId,
    path: &Path,
    rows: &RowArgs,
    limits: ImportLimits,
    options: &ImportOptions,
) -> Result<(), CliError> {
    if !rows.create && store.organisation_key(organisation).await?.is_none() {
        return Err(CliError::Refused(format!(
            "the organisation `{organisation}` does not exist; correct `--org`, or add `--create`"
        )));
    }
    let import = match send_file(store, organisation, path, options, &limits).await? {
        Upload::New(import) => import,
        Upload::Existing(import) => {
            println!(
                "The same file was imported before, or its import goes on: {}",
                import.id
            );
            import
        }
    };
    println!("import: {}", import.id);
    let recorder = Recorder::start(store)?;
    let importer = Importer::new(store.clone(), recorder.clone(), limits);
    tokio::select! {
        ended = importer.run_until_ended(organisation, import.id) => ended?,
        () = print_progress(store, organisation, import.id) => {}
    }
    recorder.finish().await;
    let ended = store.find_import(organisation, None, import.id).await?;
    let ended = ended.ok_or_else(|| CliError::Refused("the import was deleted meanwhile".to_owned()))?;
    if let Some(path) = &rows.errors {
        write_errors(store, organisation, &ended, path).await?;
    }
    conclude(&ended)
}

/// Stores the file.
async fn send_file(
    store: &Store,
    organisation: &OrgId,
    path: &Path,
    options: &ImportOptions,
    limits: &ImportLimits,
) -> Result<Upload, CliError> {
    let file_error = |source| CliError::File {
        path: path.to_owned(),
        source,
    };
    let mut input: Box<dyn Read + Send> = if path == Path::new("-") {
        Box::new(std::io::stdin())
    } else {
        Box::new(std::fs::File::open(path).map_err(file_error)?)
    };
    let mut piece = Vec::with_capacity(PIECE_BYTES);
    let mut read_piece = |piece: &mut Vec<u8>| {
        piece.clear();
        input
            .by_ref()
            .take(PIECE_BYTES as u64)
            .read_to_end(piece)
            .map_err(file_error)
    };
    read_piece(&mut piece)?;
    check_beginning(&piece, options).map_err(CliError::Refused)?;
    let import = new_import(store, organisation, options).await?;
    let too_many = || {
        CliError::Refused("too many imports of the organisation arrive or wait; try again later".to_owned())
    };
    let upload = store.begin_import(organisation, import, limits.waiting()).await?;
    let mut upload = upload.ok_or_else(too_many)?;
    while !piece.is_empty() {
        if !upload.push(&piece).await? {
            upload.discard().await?;
            return Err(too_many());
        }
        read_piece(&mut piece)?;
    }
    upload.finish().await?.ok_or_else(too_many)
}

/// The import with the rights of this command: those of an administrator.
async fn new_import(
    store: &Store,
    organisation: &OrgId,
    options: &ImportOptions,
) -> Result<NewImport, CliError> {
    let home_page = store.organisation(organisation).await?.account_home_page;
    let account = Identifier::Account {
        home_page,
        name: SENDER.to_owned(),
    };
    let terms = ImportTerms {
        authority: Actor::agent(account, None).to_json(),
        recorded_by: None,
        defines: true,
        adds_definitions: false,
        names_recorder: true,
        writes_statements: true,
    };
    let to_json = |error: serde_json::Error| CliError::Refused(error.to_string());
    Ok(NewImport {
        sender: SENDER.to_owned(),
        terms: serde_json::to_string(&terms).map_err(to_json)?,
        options: serde_json::to_string(options).map_err(to_json)?,
    })
}

/// Prints the progress every few seconds, for ever.
async fn print_progress(store: &Store, organisation: &OrgId, import: Uuid) {
    loop {
        tokio::time::sleep(Duration::from_secs(5)).await;
        if let Ok(Some(import)) = store.find_import(organisation, None, import).await {
            eprintln!("{}", summary(&import));
        }
    }
}

fn summary(import: &StoredImport) -> String {
    let StoredImport {
        rows_read,
        created,
        duplicates,
        rejected,
        ..
    } = import;
    format!("rows read: {rows_read}, created: {created}, duplicates: {duplicates}, rejected: {rejected}")
}

async fn write_errors(
    store: &Store,
    organisation: &OrgId,
    import: &StoredImport,
    path: &Path,
) -> Result<(), CliError> {
    let file_error = |source| CliError::File {
        path: path.to_owned(),
        source,
    };
    let mut file = BufWriter::new(std::fs::File::create(path).map_err(file_error)?);
    let mut after = Some(0);
    while let Some(number) = after {
        let (bytes, next) = write_error_page(store, organisation, import, number).await?;
        file.write_all(&bytes).map_err(file_error)?;
        after = next;
    }
    file.flush().map_err(file_error)
}

fn conclude(import: &StoredImport) -> Result<(), CliError> {
    println!("{}", summary(import));
    match import.status {
        ImportStatus::Done => Ok(()),
        ImportStatus::Cancelled => Err(CliError::Refused("the import was cancelled".to_owned())),
        _ => {
            let reason = import.reason.as_deref().unwrap_or("it has not ended");
            Err(CliError::Refused(format!("the import failed: {reason}")))
        }
    }
}
