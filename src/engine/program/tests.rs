//! Real command lines.

use super::*;
use crate::engine::process::Text;

/// `executable | arguments | what really runs`. `?` is an executable that could not be read; quotes hold a word with
/// blanks together, `''` is an empty argument, no arguments at all is a blank column.
const COMMANDS: &str = r"
# native programs
/usr/bin/cargo                       | cargo test --workspace                                    | cargo
/opt/runner/bin/Runner.Listener      | /opt/runner/bin/Runner.Listener run                       | Runner.Listener
/usr/bin/vim.basic                   | vi notes.py                                               | vim.basic
/usr/bin/timeout                     | timeout 60 pytest                                         | timeout
/usr/bin/env                         | env -S python -u x.py                                     | env
/usr/lib/postgresql/15/bin/postgres  | 'postgres: checkpointer '                                 | postgres
/opt/google/chrome/chrome            | '/opt/google/chrome/chrome --type=renderer --x=/a/b'      | chrome
/usr/sbin/php-fpm8.2                 | 'php-fpm: pool www'                                       | php-fpm8.2
/nix/store/x/bin/.sway-wrapped       | sway                                                      | sway
/memfd:implant                       | [kworker/0:9]                                             | memfd:implant
/usr/bin/python3-config              | python3-config --libs                                     | python3-config
/usr/bin/node_exporter               | node_exporter --web.listen-address=:9100                  | node_exporter

# python
/usr/bin/python3.11                  | python -m pytest tests                                    | pytest
/usr/bin/python3.11                  | python -mpytest                                           | pytest
/usr/bin/python3.11                  | python -Bm pytest -x                                      | pytest
/usr/bin/python3.11                  | python -Bmpytest                                          | pytest
/usr/bin/python3.11                  | /venv/bin/python /venv/bin/pytest -q                      | pytest
/usr/bin/python3.11                  | /usr/bin/python3 -u /usr/bin/py.test                      | py.test
/usr/bin/python3.12                  | python3 -X dev -W error -m pytest                         | pytest
/usr/bin/python3.12                  | python3 -Xdev -Werror -OO script.py                       | script
/usr/bin/python3.12                  | python3 -I -W ignore::DeprecationWarning:x tool.py        | tool
/usr/bin/python3.12                  | python3 --check-hash-based-pycs always tool.py            | tool
/usr/bin/python3.12                  | python3 -- -odd.py                                        | -odd
/usr/bin/python3.12                  | python -c 'import time; time.sleep(9)' pytest             | python3.12
/usr/bin/python3.12                  | python -Bc pass pytest                                    | python3.12
/usr/bin/python3.12                  | python3 -                                                 | python3.12
/usr/bin/python3.12                  | python3 -i                                                | python3.12
/usr/bin/python3.12                  | python3                                                   | python3.12
/usr/bin/python3.12                  |                                                           | python3.12
/usr/bin/python3.12                  | /venv/bin/python /venv/bin/pip install pytest             | pip
/usr/bin/python3.12                  | python -m pip install pytest                              | pip
/usr/bin/python3.12                  | /venv/bin/python /venv/bin/pytest-watch                   | pytest-watch
/usr/bin/python3.12                  | python /lib/python3/dist-packages/pytest/__main__.py      | pytest
/usr/bin/python3.12                  | python -m pytest.__main__                                 | pytest
/usr/bin/python3.12                  | python -m http.server 8000                                | http.server
/usr/bin/python3.12                  | python app.pyz --serve                                    | app
/usr/bin/python3.12                  | python ./tools/ --serve                                   | tools
/usr/bin/python3.12                  | python .                                                  | python3.12
/usr/bin/python3.12                  | python -m coverage run --source src -m pytest             | pytest
/usr/bin/python3.12                  | python /venv/bin/coverage run --branch -pm pytest         | pytest
/usr/bin/python3.12                  | python /venv/bin/coverage run manage.py test              | manage
/usr/bin/python3.12                  | python /venv/bin/coverage report                          | coverage
/usr/bin/python3.12                  | python -m cProfile -o out.prof -m pytest                  | pytest
/usr/bin/python3.12                  | python -m pdb -c continue train.py                        | train
/usr/bin/python3.12                  | python -m debugpy --listen 5678 --wait-for-client -m pytest | pytest
/usr/bin/python3.12                  | python profile.py data.csv                                | profile
/usr/bin/python3.12                  | '[pytest-xdist running] tests/test_a.py::test_b'          | pytest-xdist
/usr/bin/python3.12                  | 'gunicorn: master [shop]' '' ''                           | gunicorn
/usr/bin/python3.12                  | 'python -m pytest -x'                                     | pytest
/usr/bin/python3.12                  | '     '                                                   | python3.12
/usr/bin/pypy3.10                    | pypy3 -m pytest                                           | pytest
/usr/bin/python3.13t                 | python3.13t -m pytest                                     | pytest
/usr/bin/python3-dbg                 | python3-dbg -m pytest                                     | pytest
/Library/Frameworks/Python.framework/Versions/3.12/Resources/Python.app/Contents/MacOS/Python | python3 -m pytest | pytest

# node
/usr/bin/node                        | node server.js                                            | server
/usr/bin/node                        | node --require x script.js                                | script
/usr/bin/node                        | node --require=x -r y script.js                           | script
/usr/bin/node                        | node --max-old-space-size=4096 /w/node_modules/.bin/vitest run | vitest
/usr/bin/node                        | node /w/node_modules/vitest/vitest.mjs                    | vitest
/usr/bin/node                        | 'node (vitest 1)' '' '' ''                                | vitest
/usr/bin/node                        | 'node (vitest)'                                           | vitest
/usr/bin/node                        | node /w/node_modules/typescript/lib/tsserver.js --stdio   | tsserver
/usr/bin/node                        | node --inspect-brk=0 --enable-source-maps --import tsx a.ts | a
/usr/bin/node                        | node --env-file .env --conditions dev app.cjs             | app
/usr/bin/node                        | node -e 'setInterval(x, 9)' script.js                     | node
/usr/bin/node                        | node -p 1                                                 | node
/usr/bin/node                        | node --test test/a.test.js                                | node
/usr/bin/node                        | node inspect --port=1 app.js                              | app
/usr/bin/node                        | node -- app.js                                            | app
/usr/bin/node                        | node .                                                    | node
/usr/bin/node                        | node                                                      | node
/usr/bin/node                        | node /usr/lib/node_modules/npm/bin/npm-cli.js run dev     | npm
/usr/bin/node                        | node /usr/lib/node_modules/npm/bin/npx-cli.js vitest      | npx
/usr/bin/node                        | 'npm exec @scope/server /tmp' '' ''                       | npm
/usr/bin/node                        | 'npm run dev'                                             | npm
/usr/bin/node                        | 'next-server (v14.2.3)'                                   | next-server
/usr/bin/node20                      | node20 /w/node_modules/.bin/jest -i                       | jest
/opt/nodejs                          | nodejs /usr/share/yarn/bin/yarn.js start                  | yarn
/usr/bin/node                        | node /w/cli.test.js                                       | cli.test

# deno and bun
/usr/bin/deno                        | deno run --allow-net -c deno.json main.ts                 | main
/usr/bin/deno                        | deno main.ts                                              | main
/usr/bin/deno                        | deno serve --port 80 api/serve.ts                         | serve
/usr/bin/deno                        | deno test                                                 | deno
/usr/bin/deno                        | deno task dev                                             | deno
/usr/bin/deno                        | deno run -A npm:vite@5 --host                             | vite
/usr/bin/deno                        | deno run -A npm:@angular/cli@17                           | cli
/usr/bin/deno                        | deno run jsr:@std/http@1/file-server                      | file-server
/usr/bin/deno                        | deno run https://deno.land/std/http/file_server.ts?x=1    | file_server
/usr/bin/bun                         | bun run dev                                               | bun
/usr/bin/bun                         | bun run --watch src/index.ts                              | index
/usr/bin/bun                         | bun --preload ./setup.ts index.ts                         | index
/usr/bin/bun                         | bun test                                                  | bun
/usr/bin/bun                         | bun -e 'while(1);'                                        | bun
/usr/bin/bun                         | bun x vite                                                | bun
/usr/bin/bun                         | bunx vite                                                 | bunx

# ruby
/usr/bin/ruby3.1                     | ruby -Ilib bin/rspec                                      | rspec
/usr/bin/ruby3.1                     | ruby -I lib -r json -W0 test/all.rb                       | all
/usr/bin/ruby3.1                     | ruby /usr/bin/bundle exec rspec                           | rspec
/usr/bin/ruby3.1                     | ruby /usr/bin/bundle exec --keep-file-descriptors rake    | rake
/usr/bin/ruby3.1                     | ruby /usr/bin/bundle install                              | bundle
/usr/bin/ruby3.1                     | '/gems/bin/rspec spec/models' ''                          | rspec
/usr/bin/ruby3.1                     | 'puma 5.6.4 (tcp://0.0.0.0:3000) [shop]'                  | puma
/usr/bin/ruby3.1                     | 'puma: cluster worker 0: 12 [shop]'                       | puma
/usr/bin/ruby3.1                     | 'sidekiq 6.5 shop [0 of 10 busy]'                         | sidekiq
/usr/bin/ruby3.1                     | ruby -e 'loop {}' rspec                                   | ruby3.1
/usr/bin/ruby3.1                     | ruby -ne 'print' log.txt                                  | ruby3.1
/usr/bin/ruby3.1                     | ruby --disable=gems --encoding utf-8 tool.rb              | tool

# perl
/usr/bin/perl                        | perl -w prove -l t                                        | prove
/usr/bin/perl                        | /usr/bin/perl -w -T /usr/bin/exim_tidy.pl                 | exim_tidy
/usr/bin/perl                        | perl -Mstrict -MData::Dumper -I lib app.psgi              | app.psgi
/usr/bin/perl                        | perl -lane 'print' f                                      | perl
/usr/bin/perl                        | perl -0777 -pi.bak -e 's/a/b/' f                          | perl
/usr/bin/perl                        | perl -l012 tool.pl                                        | tool
/usr/bin/perl5.36-x86_64-linux-gnu   | perl -d:NYTProf slow.pl                                   | slow
/usr/bin/perl                        | 'spamd child'                                             | spamd

# php
/usr/bin/php8.2                      | php artisan queue:work                                    | artisan
/usr/bin/php8.2                      | php -d x=y phpunit                                        | phpunit
/usr/bin/php8.2                      | php -dmemory_limit=-1 -n vendor/bin/phpunit --filter x    | phpunit
/usr/bin/php8.2                      | php -c /etc/php.ini -f cron.php                           | cron
/usr/bin/php8.2                      | php composer.phar install                                 | composer
/usr/bin/php8.2                      | php -r 'sleep(9);'                                        | php8.2
/usr/bin/php8.2                      | php -S localhost:8000 -t public router.php                | php8.2

# the sh family
/usr/bin/dash                        | sh -c 'sleep 1; pytest'                                   | dash
/usr/bin/dash                        | sh                                                        | dash
/usr/bin/bash                        | -bash                                                     | bash
/usr/bin/bash                        | bash -e script.sh                                         | script
/usr/bin/bash                        | bash -o pipefail run.sh                                   | run
/usr/bin/bash                        | bash -eo pipefail +x run.sh                               | run
/usr/bin/bash                        | bash -euxo pipefail -c 'make test'                        | bash
/usr/bin/bash                        | bash --norc --rcfile /x/rc.sh -i                          | bash
/usr/bin/bash                        | bash -lc pytest                                           | bash
/usr/bin/bash                        | bash -s -- --yes                                          | bash
/usr/bin/bash                        | bash -- ./configure --prefix=/x                           | configure
/usr/bin/bash                        | bash /dev/fd/63                                           | bash
/usr/bin/bash                        | /bin/sh /w/node_modules/.bin/vitest run                   | vitest
/usr/bin/zsh-5.9                     | zsh -o extendedglob build.zsh                             | build
/usr/bin/ksh93                       | ksh -x tool.ksh                                           | tool
/usr/bin/fish                        | fish -C 'set x 1'                                         | fish
/usr/bin/fish                        | fish setup.fish                                           | setup
/usr/bin/busybox                     | sh /etc/rc.sh                                             | rc
/usr/bin/busybox                     | busybox sh -e job.sh                                      | job
/usr/bin/busybox                     | /bin/sh -c 'x'                                            | sh
/usr/bin/busybox                     | crond -f                                                  | crond
/usr/bin/busybox                     | busybox                                                   | busybox
/usr/bin/busybox                     | busybox --list                                            | busybox

# java
/usr/lib/jvm/17/bin/java             | java -jar agent.jar                                       | agent
/usr/lib/jvm/17/bin/java             | java -Xmx1g -jar -Dx=y /srv/app-1.2.war --port 1          | app-1.2
/usr/lib/jvm/17/bin/java             | java -cp a.jar:b.jar -Dx=y org.junit.runner.JUnitCore T   | JUnitCore
/usr/lib/jvm/17/bin/java             | java -classpath w.jar org.gradle.wrapper.GradleWrapperMain build | GradleWrapperMain
/usr/lib/jvm/17/bin/java             | java @/tmp/args.txt                                       | java
/usr/lib/jvm/17/bin/java             | java @/tmp/args.txt com.example.Main                      | Main
/usr/lib/jvm/17/bin/java             | java -p mods -m org.app/org.app.cli.Start                 | Start
/usr/lib/jvm/17/bin/java             | java --module-path=mods --module org.app                  | app
/usr/lib/jvm/17/bin/java             | java --add-opens java.base/java.lang=ALL-UNNAMED Hello.java | Hello
/usr/lib/jvm/17/bin/java             | java --add-opens=java.base/java.io=ALL-UNNAMED -ea x.Y    | Y
/home/u/.cache/bazel/i/jdk/bin/java  | bazel(shop) -XX:+UseG1GC -jar /x/A-server.jar --idle=1    | A-server
/usr/lib/jvm/17/bin/java             | java -version                                             | java

# dotnet
/usr/bin/dotnet                      | dotnet test                                               | dotnet
/usr/bin/dotnet                      | dotnet run --project x                                    | dotnet
/usr/bin/dotnet                      | dotnet My.App.dll --urls=http://x                         | My.App
/usr/bin/dotnet                      | dotnet exec --runtimeconfig a.json --depsfile b.json /x/testhost.dll | testhost
/usr/bin/dotnet                      | dotnet --roll-forward Major /x/app.dll                    | app
/usr/bin/dotnet                      | dotnet /sdk/8.0/MSBuild.dll /nodemode:1                   | MSBuild

# an executable that could not be read
?                                    | /usr/bin/python3 -m pytest                                | pytest
?                                    | -zsh                                                      | zsh
?                                    | '/opt/google/chrome/chrome --type=gpu --x=/a/b'           | chrome
?                                    | 'sshd: ann [priv]'                                        | sshd
?                                    | ''                                                        | comm
?                                    |                                                           | comm
";

fn split(words: &str) -> Vec<Text> {
    let mut found = Vec::new();
    let mut rest = words.trim();
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
fn what_really_runs() {
    let mut rows = 0;
    let mut wrong = Vec::new();
    for line in COMMANDS.lines().filter(|line| line.contains('|')) {
        let [exe, args, expected] = line.split('|').map(str::trim).collect::<Vec<_>>()[..] else {
            panic!("{line}");
        };
        let place = (exe != "?").then(|| Place::existing(exe));
        let found = resolve(place.as_ref(), &split(args), &Text::from("comm"));
        rows += 1;
        if found != Text::from(expected) {
            wrong.push(format!("{line}\n    found: {found}"));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    assert!(rows >= 150, "{rows} rows");
}

#[test]
fn comm_settles_whether_a_blank_belongs_to_a_path() {
    let args = [Text::from("/opt/My App/app")];
    assert_eq!(resolve(None, &args, &Text::from("app")), Text::from("app"));
    let args = [Text::from("/opt/x/a-very-long-name-indeed --flag /y")];
    assert_eq!(
        resolve(None, &args, &Text::from("a-very-long-nam")),
        Text::from("a-very-long-name-indeed")
    );
}

#[test]
fn a_deleted_executable_keeps_its_name() {
    let exe = Place {
        path: Text::from("/usr/bin/python3.11"),
        deleted: true,
    };
    let args = split("python -m pytest");
    assert_eq!(
        resolve(Some(&exe), &args, &Text::default()),
        Text::from("pytest")
    );
}

#[test]
fn hostile_bytes_neither_panic_nor_leave_a_name_empty() {
    const PIECES: [&[u8]; 40] = [
        b"",
        b" ",
        b"-",
        b"--",
        b"---",
        b"-m",
        b"-c",
        b"-mc",
        b"-\xff",
        b"\xff\xfe",
        b"/",
        b"//",
        b".",
        b"..",
        b"/.",
        b"python",
        b"python3.11",
        b"node",
        b"node (",
        b"node ()",
        b"(",
        b"[]",
        b":",
        b"=",
        b"-=",
        b"--=",
        b"@",
        b"npm:",
        b"npm:@/@",
        b"run",
        b"exec",
        b"bundle",
        b"coverage",
        b".__main__",
        b"__main__.py",
        b"/__main__.py",
        b".py",
        b"busybox",
        b"-busybox",
        b".-wrapped",
    ];
    let mut state = 7_u64;
    let mut piece = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        PIECES[(state >> 33) as usize % PIECES.len()]
    };
    let images: [&[u8]; 14] = [
        b"python3", b"node", b"deno", b"bun", b"ruby", b"perl", b"php", b"sh", b"fish", b"java",
        b"dotnet", b"busybox", b"cat", b"",
    ];
    for round in 0..40_000 {
        let args: Vec<Text> = (0..round % 6).map(|_| Text::new(piece())).collect();
        let exe = Place {
            path: Text::new(images[round % images.len()]),
            deleted: false,
        };
        let comm = Text::from("comm");
        for exe in [Some(&exe), None] {
            assert!(!running(exe, &args, &comm).name.is_empty(), "{args:?}");
        }
    }
}

#[test]
fn options_without_end_are_not_followed_without_end() {
    let mut args = vec![Text::from("-q"); 200_000];
    args.push(Text::from("script.py"));
    let exe = Place::existing("/usr/bin/python3");
    assert_eq!(
        resolve(Some(&exe), &args, &Text::default()),
        Text::from("python3")
    );
}
