package agent

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"flydeploy/engine"
	"flydeploy/text"
)

// Tarball is what the temporary machine made out of the new image's release.
type Tarball struct {
	Path       string `json:"path"` // on the temporary machine
	SHA256     string `json:"sha256"`
	Size       int64  `json:"size"`        // bytes
	AppVersion string `json:"app_vsn"`     // the OTP application's vsn
	Release    string `json:"release_vsn"` // of the release
	ERTS       string `json:"erts"`
	OTP        string `json:"otp"`
	Elixir     string `json:"elixir"`
	Entries    int    `json:"entries"`
	Beams      int    `json:"beams"`
}

// scriptPart writes a part of the source that jobs run. $1 DIR, $2 its number, $3 base64.
const scriptPart = `
mkdir -p "$1" && chmod 700 "$1" || { echo "FLYDEPLOY1 no_space"; exit 0; }
{ printf %s "$3" > "$1/new.$2" && mv "$1/new.$2" "$1/source.$2"; } 2>/dev/null || { echo "FLYDEPLOY1 no_space"; exit 0; }
echo "FLYDEPLOY1 written"
`

// scriptJob starts a job detached, once, after all parts of the source were written. $1 DIR, $2 job, $3 the release's root, $4 OTP
// application, $5 whether the tarball is to hold the configuration. An upload reads its form, a line.
// The release's own Elixir runs it, without the application's configuration.
const scriptJob = `
dir=$1 job=$2 root=$3
if [ ! -f "$root/releases/start_erl.data" ]; then echo "FLYDEPLOY1 no_release"; exit 0; fi
# A job that cannot write says nothing at all, not even that it has ended.
{ head -c 65536 /dev/zero > "$dir/room" && rm "$dir/room"; } 2>/dev/null || { echo "FLYDEPLOY1 no_space"; exit 0; }
mkdir "$dir/$job.started" 2>/dev/null || { echo "FLYDEPLOY1 started"; exit 0; }
rel="$root/releases/$(cut -d' ' -f2 "$root/releases/start_erl.data")"
form=; case "$job" in upload*) read -r form ;; esac
export FLYDEPLOY_DIR="$dir" FLYDEPLOY_JOB="$job" FLYDEPLOY_ROOT="$root" FLYDEPLOY_OTP_APP="$4" FLYDEPLOY_CONFIG="$5" FLYDEPLOY_UPLOAD="$form"
export ERL_CRASH_DUMP=/dev/null
new=; command -v setsid >/dev/null && new=setsid
nohup $new "$rel/elixir" --boot "$rel/start_clean" --boot-var RELEASE_LIB "$root/lib" --erl "+S 1:1" -e '
  dir = System.fetch_env!("FLYDEPLOY_DIR")
  modules = Path.join(dir, "modules")

  unless File.exists?(modules) do
    parts = dir |> Path.join("source.*") |> Path.wildcard() |> Enum.sort() |> Enum.map(&File.read!/1)
    [_ | files] = parts |> Enum.join() |> Base.decode64!() |> :zlib.uncompress() |> String.split("\f")

    compiled =
      for file <- files, [name, source] = String.split(file, "\n", parts: 2), module <- Code.compile_string(source, name), do: module

    File.write!(modules <> ".new", :erlang.term_to_binary(compiled))
    File.rename!(modules <> ".new", modules)
  end

  for {module, beam} <- modules |> File.read!() |> :erlang.binary_to_term(), not :erlang.module_loaded(module) do
    {:module, ^module} = :code.load_binary(module, [], beam)
  end

  FlyDeployOrchestrator.Job.run()
' </dev/null >"$dir/$job.log" 2>&1 &
echo $! > "$dir/$job.pid"
echo "FLYDEPLOY1 started"
`

// scriptPoll waits up to ten seconds for a job's result or for progress other than $3 ("done total").
const scriptPoll = `
dir=$1 job=$2 i=0 start=$(date +%s)
while :; do
  if [ -f "$dir/$job.result" ]; then
    printf 'FLYDEPLOY1 result '; head -c 8192 "$dir/$job.result"; printf '\nFLYDEPLOY1 end\n'; exit 0
  fi
  { read -r pid < "$dir/$job.pid"; } 2>/dev/null && ! kill -0 "$pid" 2>/dev/null && [ ! -f "$dir/$job.result" ] && {
    printf 'FLYDEPLOY1 died '; tail -c 600 "$dir/$job.log" | tr '\n' ' '; printf '\nFLYDEPLOY1 end\n'; exit 0
  }
  now=; [ -f "$dir/$job.progress" ] && now=$(cat "$dir/$job.progress")
  i=$((i+1)) late=
  [ $((i % 10)) -eq 0 ] && [ $(($(date +%s) - start)) -ge 9 ] && late=1
  if [ -n "$late" ] || [ "$now" != "$3" ]; then printf 'FLYDEPLOY1 progress %s\nFLYDEPLOY1 end\n' "$now"; exit 0; fi
  sleep 0.1 2>/dev/null || { sleep 1; i=$((i+9)); }
done
`

// MakeTarball makes the upgrade's tarball of the release at root (RELEASE_ROOT), with its configuration if config, on the temporary machine, which runs no VM. Lasts
// seconds to minutes: the work is detached, progress tells entries. Idempotent by id, the upgrade's.
func MakeTarball(ctx context.Context, exec Exec, id, root, otpApp string, config bool, progress func(done, total int64)) (Tarball, error) {
	if !validApp.MatchString(otpApp) {
		return Tarball{}, fmt.Errorf("making the tarball: the OTP application %q has no valid name", printable(otpApp, 80))
	}
	b, err := orchestratorBundle()
	if err != nil {
		return Tarball{}, err
	}
	job := job{exec: exec, name: "tarball", dir: jobDir(id), root: root, app: otpApp, config: config, doing: "making the tarball", source: b}
	var t struct {
		Tarball
		Error string `json:"error"`
	}
	if err := job.result(ctx, progress, &t); err != nil {
		return Tarball{}, err
	}
	if t.Error != "" {
		return Tarball{}, &Refusal{"tarball_failed", fmt.Sprintf("%s: %s", job.doing, printable(t.Error, 400))}
	}
	if !engine.IsSHA256(t.SHA256) || t.Size <= 0 || t.Beams == 0 {
		return Tarball{}, fmt.Errorf("%s: the result is not valid", job.doing)
	}
	for _, text := range []*string{&t.AppVersion, &t.Release, &t.ERTS, &t.OTP, &t.Elixir} {
		*text = printable(*text, 80)
	}
	return t.Tarball, nil
}

// CompileAgent compiles the agent on a machine as MakeTarball's. Idempotent by id.
func CompileAgent(ctx context.Context, exec Exec, id, root string) (engine.CompiledAgent, error) {
	b, err := agentBundle()
	if err != nil {
		return engine.CompiledAgent{}, err
	}
	return compileAgent(ctx, exec, id, root, b)
}

func compileAgent(ctx context.Context, exec Exec, id, root string, b bundle) (engine.CompiledAgent, error) {
	job := job{exec: exec, name: "agent", dir: agentDir(id), root: root, doing: "compiling the agent", source: b}
	var made struct {
		Agent engine.CompiledAgent `json:"agent"`
		Error string               `json:"error"`
	}
	if err := job.result(ctx, nil, &made); err != nil {
		return made.Agent, err
	}
	if made.Error != "" {
		return made.Agent, &Refusal{"tarball_failed", fmt.Sprintf("%s: %s", job.doing, printable(made.Error, 400))}
	}
	return job.compiled(made.Agent)
}

// compiled checks what a job says of the agent that it has compiled.
func (j job) compiled(a engine.CompiledAgent) (engine.CompiledAgent, error) {
	if !a.Valid() {
		return a, fmt.Errorf("%s: the compiled agent is not valid", j.doing)
	}
	a.OTP, a.Elixir, a.Source = printable(a.OTP, 80), printable(a.Elixir, 80), j.source.hash
	return a, nil
}

// Upload is a file that a job has made on the temporary machine.
type Upload string

// What is uploaded.
const (
	UploadTarball Upload = "upload"
	UploadAgent   Upload = "upload_agent"
)

// Send PUTs the file from the temporary machine to a presigned URL with the headers that were signed, and gives the HTTP
// status of the answer (412: the object exists already). caCerts as in Order.
func (u Upload) Send(ctx context.Context, exec Exec, id, root, putURL string, headers map[string]string, caCerts string, progress func(done, total int64)) (int, error) {
	form := url.Values{"url": {putURL}, "cacerts": {caCerts}}
	for name, value := range headers {
		switch strings.ToLower(name) {
		case "host", "content-length", "connection":
		default:
			form.Set("-"+name, value)
		}
	}
	_, secret, _ := strings.Cut(putURL, "?")
	doing, dir := "uploading the tarball", jobDir(id)
	if u == UploadAgent {
		doing, dir = "uploading the compiled agent", agentDir(id)
	}
	job := job{exec: exec, name: string(u), dir: dir, root: root, secret: secret, doing: doing,
		form: base64.StdEncoding.EncodeToString([]byte(form.Encode())) + "\n"}
	var answer struct {
		Status int    `json:"status"`
		Body   string `json:"body"`
		Error  string `json:"error"`
	}
	if err := job.result(ctx, progress, &answer); err != nil {
		return 0, err
	}
	switch {
	case answer.Error != "":
		return 0, &Refusal{"upload_failed", fmt.Sprintf("%s: %s", job.doing, printable(answer.Error, 400))}
	case answer.Status < 200 || answer.Status > 299:
		return answer.Status, &Refusal{"upload_failed", fmt.Sprintf("%s: the storage answered %d: %s", job.doing, answer.Status, storageError(answer.Body, secret))}
	}
	return answer.Status, nil
}

var storageSays = regexp.MustCompile(`(?s)<Code>(.*?)</Code>.*?<Message>(.*?)</Message>`)

// storageError is what the storage says of a refusal.
func storageError(body, secret string) string {
	body = text.Redact(body, secret)
	if says := storageSays.FindStringSubmatch(body); says != nil {
		return printable(says[1], 80) + ": " + printable(says[2], 200)
	}
	return printable(body, 300)
}

// jobDir is where jobs work on the temporary machine; it is named by the upgrade.
func jobDir(id string) string { return "/tmp/flydeploy-" + id }

// agentDir is where the agent is compiled on the temporary machine, apart from what the other jobs have compiled.
func agentDir(id string) string { return jobDir(id) + "-agent" }

// job runs detached on the temporary machine.
type job struct {
	exec                       Exec
	name, dir, root, app, form string
	config                     bool
	secret                     string
	doing                      string
	source                     bundle // that is to be compiled; without one an earlier job has done so
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

func (j job) run(ctx context.Context, progress func(done, total int64)) (string, error) {
	for i, part := range j.source.parts {
		if err := j.start(ctx, "written", request{command: shell(scriptPart, j.dir, fmt.Sprintf("%02d", i), part)}); err != nil {
			return "", err
		}
	}
	if err := j.start(ctx, "started", request{shell(scriptJob, j.dir, j.name, j.root, j.app, strconv.FormatBool(j.config)), j.form}); err != nil {
		return "", err
	}
	return j.poll(ctx, progress)
}

// start sends a request that the machine answers at once.
func (j job) start(ctx context.Context, wanted string, r request) error {
	out, err := send(ctx, j.exec, quick, j.doing, r, j.secret)
	if err != nil {
		return err
	}
	switch word, _ := out.word(); word {
	case wanted:
		return nil
	case "no_space":
		return &Refusal{"temporary_disk_full", fmt.Sprintf("%s: no space left on the temporary machine", j.doing)}
	case "no_release":
		return &Refusal{"image_without_release", fmt.Sprintf("%s: the new image has no release at %s", j.doing, j.root)}
	}
	return fmt.Errorf("%s: %w", j.doing, errCut)
}

func (j job) poll(ctx context.Context, progress func(done, total int64)) (string, error) {
	seen := ""
	for {
		out, err := send(ctx, j.exec, callTimeout, j.doing, request{command: shell(scriptPoll, j.dir, j.name, seen)}, j.secret)
		if err != nil {
			return "", err
		}
		if !out.whole() {
			return "", fmt.Errorf("%s: %w", j.doing, errCut)
		}
		word, rest := out.word()
		switch word {
		case "result":
			return rest, nil
		case "died":
			return "", &Refusal{"job_died", fmt.Sprintf("%s: its process ended, perhaps because memory ran out: %s", j.doing, printable(rest, 300))}
		}
		seen = rest
		done, total, _ := strings.Cut(rest, " ")
		d, _ := strconv.ParseInt(done, 10, 64)
		t, _ := strconv.ParseInt(total, 10, 64)
		if progress != nil && t > 0 {
			progress(d, t)
		}
		if err := ctx.Err(); err != nil {
			return "", fmt.Errorf("%s: %w", j.doing, err)
		}
	}
}
