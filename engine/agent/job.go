package agent

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

// scriptJob starts a job detached, once, and follows it. $1 DIR, $2 job, $3 the release's root, $4 OTP application, $5 whether the tarball is to hold the
// configuration, $6 what the job runs, base64 of zlib: its files, each after a form feed, its name and a line break; the last one's module
// is the job. All but the tarball's read a form, a line that is whole or not taken: its URLs are secrets.
// The release's own Elixir runs it, without the application's configuration.
const scriptJob = `
dir=$1 job=$2 root=$3
if [ ! -f "$root/releases/start_erl.data" ]; then echo "FLYDEPLOY1 no_release"; exit 0; fi
form=; case "$job" in tarball) ;; *) read -r form || exit 0 ;; esac
# A job that cannot write says nothing at all, not even that it has ended.
{ mkdir -p "$dir" && chmod 700 "$dir" && head -c 65536 /dev/zero > "$dir/room" && rm "$dir/room"; } 2>/dev/null || { echo "FLYDEPLOY1 no_space"; exit 0; }
rel="$root/releases/$(cut -d' ' -f2 "$root/releases/start_erl.data")"
export FLYDEPLOY_DIR="$dir" FLYDEPLOY_JOB="$job" FLYDEPLOY_ROOT="$root" FLYDEPLOY_OTP_APP="$4" FLYDEPLOY_CONFIG="$5" FLYDEPLOY_SOURCE="$6" FLYDEPLOY_FORM="$form"
export ERL_CRASH_DUMP=/dev/null
new=; command -v setsid >/dev/null && new=setsid
start() {
nohup $new "$rel/elixir" --boot "$rel/start_clean" --boot-var RELEASE_LIB "$root/lib" --erl "+S 1:1" -e '
  Code.compiler_options(debug_info: false, docs: false, ignore_module_conflict: true, no_warn_undefined: :all)
  [_ | files] = "FLYDEPLOY_SOURCE" |> System.fetch_env!() |> Base.decode64!() |> :zlib.uncompress() |> String.split("\f")

  compiled =
    for file <- files, [name, source] = String.split(file, "\n", parts: 2), module <- Code.compile_string(source, name), do: module

  {job, _beam} = List.last(compiled)
  job.run()
' </dev/null >"$dir/$job.log" 2>&1 &
echo $! > "$dir/$job.pid"
}
mkdir "$dir/$job.started" 2>/dev/null && start
seen=
` + scriptFollow

// scriptPoll follows a job that was started. $1 DIR, $2 job, $3 the progress that was seen.
const scriptPoll = `
dir=$1 job=$2 seen=$3
` + scriptFollow

// scriptFollow waits up to ten seconds for a job's result or for other progress than was seen ("done total").
const scriptFollow = `
i=0 since=$(date +%s)
while :; do
  if [ -f "$dir/$job.result" ]; then
    printf 'FLYDEPLOY1 result '; head -c 8192 "$dir/$job.result"; printf '\nFLYDEPLOY1 end\n'; exit 0
  fi
  { read -r pid < "$dir/$job.pid"; } 2>/dev/null && ! kill -0 "$pid" 2>/dev/null && [ ! -f "$dir/$job.result" ] && {
    printf 'FLYDEPLOY1 died '; tail -c 600 "$dir/$job.log" | tr '\n' ' '; printf '\nFLYDEPLOY1 end\n'; exit 0
  }
  now=; [ -f "$dir/$job.progress" ] && now=$(cat "$dir/$job.progress")
  i=$((i+1)) late=
  [ $((i % 10)) -eq 0 ] && [ $(($(date +%s) - since)) -ge 9 ] && late=1
  if [ -n "$late" ] || [ "$now" != "$seen" ]; then printf 'FLYDEPLOY1 progress %s\nFLYDEPLOY1 end\n' "$now"; exit 0; fi
  sleep 0.1 2>/dev/null || { sleep 1; i=$((i+9)); }
done
`

// jobDir is where jobs work on the temporary machine; it is named by the upgrade.
func jobDir(id string) string { return "/tmp/flydeploy-" + id }

// job runs detached on the temporary machine.
type job struct {
	exec           Exec
	name           string // of its files in dir
	works          string // what it runs, as elixir.Jobs names it; "" for the job's name
	dir, root, app string
	config         bool
	form           url.Values // read by the job
	secret         string
	doing          string
}

// result runs the job and decodes what it gives.
func (j job) result(ctx context.Context, progress func(done, total int64), to any) error {
	text, err := j.run(ctx, progress)
	if err != nil {
		return err
	}
	if err := json.Unmarshal([]byte(text), to); err != nil {
		return fmt.Errorf("%s: the result is not valid: %w", j.doing, err)
	}
	return nil
}

// run starts the job, unless it was started, and gives its result.
func (j job) run(ctx context.Context, progress func(done, total int64)) (string, error) {
	next, err := j.request()
	for err == nil {
		var word, rest string
		if word, rest, err = j.follow(ctx, next); err != nil || word == "result" {
			return rest, err
		}
		done, total, _ := strings.Cut(rest, " ")
		d, _ := strconv.ParseInt(done, 10, 64)
		t, _ := strconv.ParseInt(total, 10, 64)
		if progress != nil && t > 0 {
			progress(d, t)
		}
		if ctx.Err() != nil {
			return "", fmt.Errorf("%s: %w", j.doing, ctx.Err())
		}
		next = request{command: shell(scriptPoll, j.dir, j.name, rest)}
	}
	return "", err
}

// follow gives the job's result, or its progress.
func (j job) follow(ctx context.Context, r request) (word, rest string, err error) {
	out, err := send(ctx, j.exec, callTimeout, j.doing, r, j.secret)
	if err != nil {
		return "", "", err
	}
	word, rest = out.word()
	switch {
	case j.refusal(word) != nil:
		return "", "", j.refusal(word)
	case !out.whole():
		return "", "", fmt.Errorf("%s: %w", j.doing, errCut)
	case word == "died":
		return "", "", &Refusal{"job_died", fmt.Sprintf("%s: its process ended, perhaps because memory ran out: %s", j.doing, printable(rest, 300))}
	}
	return word, rest, nil
}

// request is the exec that starts the job.
func (j job) request() (request, error) {
	sources, err := jobSources()
	if err != nil {
		return request{}, err
	}
	r := request{command: shell(scriptJob, j.dir, j.name, j.root, j.app, strconv.FormatBool(j.config), sources[cmp.Or(j.works, j.name)])}
	if j.form != nil {
		r.stdin = base64.StdEncoding.EncodeToString([]byte(j.form.Encode())) + "\n"
	}
	return r, nil
}

// refusal is that of a machine which cannot start what was asked for, nil for another word.
func (j job) refusal(word string) error {
	switch word {
	case "no_space":
		return &Refusal{"temporary_disk_full", fmt.Sprintf("%s: no space left on the temporary machine", j.doing)}
	case "no_release":
		return &Refusal{"image_without_release", fmt.Sprintf("%s: the new image has no release at %s", j.doing, j.root)}
	}
	return nil
}
