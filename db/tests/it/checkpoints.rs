//! SQLite's journal is moved into the file beside the writer.

use crate::store::{self, user};
use crate::world::World;
use db::Error;
use std::fs::metadata;

#[tokio::test]
async fn what_is_committed_reaches_the_file_long_before_the_writer_sees_to_it() {
    let World { db, url, _folder: folder } = World::sqlite(|_| ()).await;
    let file = url.strip_prefix("sqlite:").unwrap();
    let before = metadata(file).unwrap().len();
    // The writer would after 16384 pages; a commit of these has a handful.
    for number in 0..1500 {
        db.write("insert", move |c| Ok::<_, Error>(store::insert(c, &user(number)).map(drop)?)).await.unwrap();
        if metadata(file).unwrap().len() > before {
            return drop(folder);
        }
    }
    panic!("the journal only grows");
}
