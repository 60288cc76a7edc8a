use super::*;

/// `given | shown`; quotes hold an argument with blanks together.
const LINES: &str = r#"
python -m pytest -q                                  | python -m pytest -q
psql --password hunter2 -h db                        | psql --password [redacted] -h db
tool --password=hunter2 x                            | tool --password=[redacted] x
tool '--password=two words' x                        | tool --password=[redacted] x
tool --password 'two words' x                        | tool --password [redacted] x
tool --password --user ann                           | tool --password --user ann
tool --password -s3cret x                            | tool --password [redacted] x
tool --no-password ann                               | tool --no-password ann
tool --password-file /run/pw --max-tokens 9          | tool --password-file /run/pw --max-tokens 9
tool --db-pass x --bypass y                          | tool --db-pass [redacted] --bypass y
tool --token=abc --api-key abc                       | tool --token=[redacted] --api-key [redacted]
java -Djavax.net.ssl.keyStorePassword=x -jar agent.jar -secret abc | java -Djavax.net.ssl.keyStorePassword=[redacted] -jar agent.jar -secret [redacted]
env API_KEY=abc GITHUB_TOKEN=x LANG=C make           | env API_KEY=[redacted] GITHUB_TOKEN=[redacted] LANG=C make
env SECRET_KEY_BASE=x SIGNING_KEY=y KEY=z rails      | env SECRET_KEY_BASE=[redacted] SIGNING_KEY=[redacted] KEY=z rails
docker run -e DB_PASSWORD=x -p 80:80 img             | docker run -e DB_PASSWORD=[redacted] -p 80:80 img
openssl rsa -passin pass:x -in k                     | openssl rsa -passin [redacted] -in k
curl -H 'Authorization: Bearer abc.def' https://x/   | curl -H Authorization: [redacted] https://x/
curl -H authorization:Basic -H 'X-Api-Key: k'        | curl -H authorization: [redacted] -H X-Api-Key: [redacted]
curl -H 'Private-Token: abc' -H 'Accept: text/x'     | curl -H Private-Token: [redacted] -H Accept: text/x
curl -u ann:hunter2 https://x                        | curl -u ann:[redacted] https://x
curl -uann:hunter2 https://x                         | curl -uann:[redacted] https://x
curl --user ann:hunter2 -U p:q                       | curl --user ann:[redacted] -U p:[redacted]
curl --user-agent x:y                                | curl --user-agent x:y
curl -d '{"user": "ann", "password": "p q", "n":1}'  | curl -d {"user": "ann", "password": "[redacted]", "n":1}
curl -d '{"pin_password":1234}'                      | curl -d {"pin_password":[redacted]}
curl https://x/?a=1&access_token=abc&b=2#z           | curl https://x/?a=1&access_token=[redacted]&b=2#z
git clone https://ann:hunter2@github.com/a/b         | git clone https://ann:[redacted]@github.com/a/b
git clone https://ghp_0123456789abcdefABCD@github.com/a | git clone https://[redacted]@github.com/a
git clone ssh://git@github.com:22/a                  | git clone ssh://git@github.com:22/a
app postgres://u:p@ss@db:5432/x?y=1                    | app postgres://u:[redacted]@db:5432/x?y=1
app postgres://u:p/w@db/x                            | app postgres://u:[redacted]@db/x
app http://localhost:8080/@scope/pkg                 | app http://localhost:8080/@scope/pkg
app --dsn=redis://:hunter2@cache:6379/0              | app --dsn=redis://:[redacted]@cache:6379/0
mysql -uroot -phunter2 db                            | mysql -uroot -p[redacted] db
mysql -p db                                          | mysql -p db
sudo /usr/bin/mysqldump -phunter2 db                 | sudo /usr/bin/mysqldump -p[redacted] db
mkdir -phunter2                                      | mkdir -phunter2
sshpass -p hunter2 ssh h                             | sshpass -p [redacted] ssh h
redis-cli -a hunter2 ping                            | redis-cli -a [redacted] ping
ldapsearch -x -w hunter2 -b dc=x                     | ldapsearch -x -w [redacted] -b dc=x
unzip -P hunter2 a.zip                               | unzip -P [redacted] a.zip
7z x -phunter2 a.7z                                  | 7z x -p[redacted] a.7z
sh -c 'mysql -phunter2 db; echo ok'                  | sh -c mysql -p[redacted] db; echo ok
sh -c 'curl -H "Authorization: Bearer a b" https://x' | sh -c curl -H "Authorization: [redacted]" https://x
sh -c 'x --password "a b" --retry 3'                 | sh -c x --password "[redacted]" --retry 3
sh -c 'export TOKEN="a b"; run'                      | sh -c export TOKEN="[redacted]"; run
agent sk-proj-0123456789abcdefghij xoxb-123456789012-abcdef | agent [redacted] [redacted]
aws AKIAIOSFODNN7EXAMPLE eyJhbGciOiJIUzI1NiJ9.e30.x  | aws [redacted] [redacted]
run task-runner sk-learn npm_config_cache_directory  | run task-runner sk-learn npm_config_cache_directory
npm:run --loglevel=verbose --port=80                 | npm:run --loglevel=verbose --port=80
'npm run dev' '' ''                                  | npm run dev
"#;

fn arguments(line: &str) -> Vec<Text> {
    let mut found = Vec::new();
    let mut rest = line.trim();
    while !rest.is_empty() {
        let (word, next) = match rest.strip_prefix('\'') {
            Some(quoted) => quoted.split_once('\'').unwrap(),
            None => rest.split_once(' ').unwrap_or((rest, "")),
        };
        found.push(Text::from(word));
        rest = next.trim_start();
    }
    found
}

#[test]
fn secrets_are_not_shown() {
    let mut wrong = Vec::new();
    for line in LINES.lines().filter(|line| line.contains('|')) {
        let (given, expected) = line.split_once(" | ").unwrap();
        let shown = command_line(&arguments(given), 1000).to_string();
        if shown != expected.trim() {
            wrong.push(format!("{given}\n    shown: {shown}"));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn long_lines_are_cut_between_characters() {
    let args = [Text::from("äöü"), Text::from("xyz")];
    assert_eq!(command_line(&args, 10), Text::from("äöü xyz"));
    assert_eq!(command_line(&args, 9), Text::from("äöü…"));
    assert_eq!(command_line(&args, 8), Text::from("äö…"));
    assert_eq!(command_line(&args, 3), Text::from("…"));
    assert_eq!(command_line(&args, 2), Text::default());
}

#[test]
fn a_secret_is_gone_before_the_line_is_cut() {
    let args = arguments("tool --password hunter2hunter2");
    for longest in 0..40 {
        let shown = command_line(&args, longest);
        assert!(shown.bytes().len() <= longest);
        assert!(!shown.to_string().contains("hunt"), "{shown}");
    }
}

#[test]
fn megabytes_of_hostile_text_are_looked_through_once() {
    for piece in [
        "a://",
        "a:@",
        "\"password\":",
        "?token=",
        "--password ",
        "\u{0}\u{1}=",
        "://:@",
        "sk-",
        "Cookie: ",
    ] {
        let args = [Text::from(piece.repeat(300_000 / piece.len()).as_str())];
        assert!(command_line(&args, 200).bytes().len() <= 200);
    }
    let many = vec![Text::new(*b"\xff=\xfe:"); 100_000];
    assert!(command_line(&many, 200).bytes().len() <= 200);
}
