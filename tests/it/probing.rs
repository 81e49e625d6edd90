//! Probes against servers that count.

use feedgrade::database::{Choice, Database};
use feedgrade::evidence::Answer;
use feedgrade::exercise::Probe;
use feedgrade::probing;
use feedgrade::scratch::Scratch;
use feedgrade::yaml::Source;

use crate::counting_server::{Reply, Server, ok};
use crate::skip::skip;

#[tokio::test(flavor = "multi_thread")]
async fn after_the_first_answer_that_is_missing_nothing_more_is_asked() {
    let scratch = Scratch::new().unwrap();
    let database =
        match Database::start(&Choice::Local, "postgres:15", &[], &scratch, &|_| {}).await {
            Ok(database) => database,
            Err(why) => return skip("local", &why),
        };
    database.make_template("", "").await.unwrap();
    let own = database.clone("probing").await.unwrap();
    let probe: Probe = Source {
        name: "x.yaml".into(),
        text: "id: a\nsteps:\n\
               - {request: GET /a, expect: {status: 200}}\n\
               - {request: GET /b, expect: {status: 200}}\n\
               - {request: GET /c, expect: {status: 200}}\n"
            .into(),
    }
    .parse()
    .unwrap();
    let server = Server::start(|head, _| {
        if head.starts_with("GET /b ") {
            Reply::Reset
        } else {
            Reply::Send(ok("{}"))
        }
    });
    let url = format!("http://{}", server.address);
    let run = probing::run(&probe, &url, &own).await.unwrap();
    own.close().await.unwrap();
    let requests: Vec<&str> = run.steps.iter().map(|step| &*step.request).collect();
    assert_eq!(requests, ["GET /a", "GET /b"]);
    assert!(matches!(
        run.steps[0].answer,
        Answer::Json { status: 200, .. }
    ));
    assert!(matches!(run.steps[1].answer, Answer::Failed(_)));
    assert_eq!(server.received(), 2);
}
