use super::*;
use crate::base::fair_limit::Sharer;
use crate::base::ids::OrgId;
use crate::export::spool::SpoolSpace;
use crate::store::StoreError;

/// A queue whose blocks go to the file as soon as the memory is full.
fn impatient_queue() -> (Writer, Reader, SpoolSpace) {
    let space = SpoolSpace::new(1 << 30);
    let sharer = Sharer {
        organisation: OrgId::new("acme").unwrap(),
        caller: "a".to_owned(),
    };
    let rules = ReadingRules {
        patience: Duration::ZERO,
        longest_wait: Duration::from_secs(60),
        window: Duration::from_secs(60),
        window_bytes: 1,
        deadline: Duration::from_secs(60),
    };
    let spool = space.share(&sharer);
    let (writer, reader) = queue(Box::new(()), Some(ClientTerms { rules, spool }));
    (writer, reader, space)
}

/// The block with this number. It cannot be compressed, so its size in the file is known.
fn block(number: u8) -> Vec<u8> {
    let byte = |place: u64| {
        let mixed = (place + (u64::from(number) << 32)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        ((mixed ^ (mixed >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 56) as u8
    };
    (0..BLOCK_BYTES as u64).map(byte).collect()
}

async fn send_blocks(writer: &mut Writer, numbers: std::ops::Range<u8>) {
    for number in numbers {
        assert!(writer.send(block(number)).await);
    }
}

async fn expect_blocks(reader: &Reader, numbers: std::ops::Range<u8>) {
    for number in numbers {
        let next = timeout(Duration::from_secs(10), reader.next()).await.unwrap();
        assert!(next.unwrap().unwrap() == block(number), "block {number}");
    }
}

fn spool_file(reader: &Reader) -> Option<SpoolFile> {
    reader.0.lock().spool.file.clone()
}

#[tokio::test]
async fn export_waits_for_its_client_if_the_file_cannot_be_written() {
    let (mut writer, reader, space) = impatient_queue();
    reader.0.lock().spool.file = Some(SpoolFile::read_only().unwrap());
    let writing = tokio::spawn(async move {
        send_blocks(&mut writer, 0..20).await;
        writer.finish(Ok(()));
    });
    while !reader.0.lock().spool.is_broken {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    expect_blocks(&reader, 0..20).await;
    assert!(reader.next().await.is_none());
    writing.await.unwrap();
    assert_eq!(space.used_bytes(), 0);
}

#[tokio::test]
async fn blocks_in_a_file_that_cannot_be_written_any_more_are_sent() {
    let (mut writer, reader, space) = impatient_queue();
    send_blocks(&mut writer, 0..6).await;
    assert_eq!(space.used_bytes(), 2 * BLOCK_BYTES as u64);
    reader
        .0
        .lock()
        .spool
        .break_off(0, &io::Error::other("the disk is full"));
    let writing = tokio::spawn(async move {
        send_blocks(&mut writer, 6..20).await;
        writer.finish(Ok(()));
    });
    expect_blocks(&reader, 0..20).await;
    assert!(reader.next().await.is_none());
    writing.await.unwrap();
    assert!(spool_file(&reader).is_none());
    assert_eq!(space.used_bytes(), 0);
}

#[tokio::test]
async fn file_that_was_read_to_its_end_needs_no_disk() {
    let (mut writer, reader, space) = impatient_queue();
    send_blocks(&mut writer, 0..10).await;
    let file = spool_file(&reader).unwrap();
    assert_eq!(file.length(), 6 * BLOCK_BYTES as u64);
    expect_blocks(&reader, 0..10).await;
    // Four blocks fit into memory, the fifth goes to the start of the file.
    send_blocks(&mut writer, 10..15).await;
    assert_eq!(
        (file.length(), space.used_bytes()),
        (BLOCK_BYTES as u64, BLOCK_BYTES as u64)
    );
    expect_blocks(&reader, 10..15).await;
}

#[tokio::test]
async fn error_of_the_database_is_the_end_if_the_file_cannot_be_read() {
    let (mut writer, reader, _space) = impatient_queue();
    send_blocks(&mut writer, 0..6).await;
    writer.finish(Err(ExportError::Store(StoreError::Closed)));
    spool_file(&reader).unwrap().clear().await.unwrap();
    expect_blocks(&reader, 0..4).await;
    let end = timeout(Duration::from_secs(10), reader.next()).await.unwrap();
    assert!(matches!(end, Some(Err(ExportError::Store(StoreError::Closed)))));
    assert!(reader.next().await.is_none());
}

#[tokio::test]
async fn file_that_cannot_be_read_is_an_error() {
    let (mut writer, reader, _space) = impatient_queue();
    send_blocks(&mut writer, 0..6).await;
    spool_file(&reader).unwrap().clear().await.unwrap();
    expect_blocks(&reader, 0..4).await;
    let end = timeout(Duration::from_secs(10), reader.next()).await.unwrap();
    assert!(matches!(end, Some(Err(ExportError::Spool(_)))));
    assert!(!writer.send(block(0)).await);
    timeout(Duration::from_secs(10), writer.closed()).await.unwrap();
}

#[tokio::test]
async fn client_that_stops_reading_before_an_error_frees_the_file() {
    let (mut writer, reader, space) = impatient_queue();
    let rules = ReadingRules {
        patience: Duration::ZERO,
        longest_wait: Duration::from_secs(60),
        window: Duration::from_millis(100),
        window_bytes: 1,
        deadline: Duration::from_secs(60),
    };
    send_blocks(&mut writer, 0..6).await;
    writer.finish(Err(ExportError::Store(StoreError::Closed)));
    let watching = watch_reader(Arc::clone(&reader.0), rules);
    timeout(Duration::from_secs(10), watching).await.unwrap();
    assert_eq!(space.used_bytes(), 0);
    assert!(matches!(reader.next().await, Some(Err(ExportError::Store(_)))));
}

#[tokio::test]
async fn export_is_interrupted_if_the_database_waits_too_long_for_space() {
    let (mut writer, reader, space) = impatient_queue();
    writer.rules = writer.rules.map(|rules| ReadingRules {
        longest_wait: Duration::from_millis(50),
        ..rules
    });
    reader
        .0
        .lock()
        .spool
        .break_off(0, &io::Error::other("the disk is full"));
    let sending = async {
        let mut number = 0;
        while writer.send(block(number)).await {
            number += 1;
        }
        number
    };
    let sent = timeout(Duration::from_secs(10), sending).await.unwrap();
    assert_eq!(sent, 4, "those that fit into memory");
    assert!(matches!(reader.next().await, Some(Err(ExportError::NoSpace(_)))));
    assert!(reader.next().await.is_none());
    assert_eq!(space.used_bytes(), 0);
}
