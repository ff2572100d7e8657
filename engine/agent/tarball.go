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

	"flydeploy/elixir"
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

	dir string
}

// scriptJob starts a job detached, once. $1 DIR, $2 job, $3 the release's root, $4 source, $5 OTP application. The upload reads
// its form, a line.
// The release's own Elixir runs it, without the application's configuration.
const scriptJob = `
dir=$1 job=$2 root=$3
if [ ! -f "$root/releases/start_erl.data" ]; then echo "FLYDEPLOY1 no_release"; exit 0; fi
mkdir -p "$dir" && chmod 700 "$dir" || exit 1
# A job that cannot write says nothing at all, not even that it has ended.
{ head -c 65536 /dev/zero > "$dir/room" && rm "$dir/room"; } 2>/dev/null || { echo "FLYDEPLOY1 no_space"; exit 0; }
mkdir "$dir/$job.started" 2>/dev/null || { echo "FLYDEPLOY1 started"; exit 0; }
rel="$root/releases/$(cut -d' ' -f2 "$root/releases/start_erl.data")"
form=; [ "$job" != upload ] || read -r form
export FLYDEPLOY_DIR="$dir" FLYDEPLOY_JOB="$job" FLYDEPLOY_ROOT="$root" FLYDEPLOY_SOURCE="$4" FLYDEPLOY_OTP_APP="$5" FLYDEPLOY_UPLOAD="$form"
export ERL_CRASH_DUMP=/dev/null
new=; command -v setsid >/dev/null && new=setsid
nohup $new "$rel/elixir" --boot "$rel/start_clean" --boot-var RELEASE_LIB "$root/lib" --erl "+S 1:1" -e '
  System.fetch_env!("FLYDEPLOY_SOURCE") |> Base.decode64!() |> :zlib.uncompress() |> Code.eval_string()
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

// MakeTarball makes the upgrade's tarball of the release at root (RELEASE_ROOT) on the temporary machine, which runs no
// VM. Lasts seconds to minutes: the work is detached, progress tells entries. Idempotent by id, the upgrade's.
func MakeTarball(ctx context.Context, exec Exec, id, root, otpApp string, progress func(done, total int64)) (Tarball, error) {
	if !validApp.MatchString(otpApp) {
		return Tarball{}, fmt.Errorf("making the tarball: the OTP application %q has no valid name", printable(otpApp, 80))
	}
	job := job{exec: exec, name: "tarball", dir: "/tmp/flydeploy-" + id, root: root, app: otpApp, doing: "making the tarball"}
	text, err := job.run(ctx, progress)
	if err != nil {
		return Tarball{}, err
	}
	var t struct {
		Tarball
		Error string `json:"error"`
	}
	if err := json.Unmarshal([]byte(text), &t); err != nil {
		return Tarball{}, fmt.Errorf("%s: the result is not valid: %w", job.doing, err)
	}
	if t.Error != "" {
		return Tarball{}, &Refusal{"tarball_failed", fmt.Sprintf("%s: %s", job.doing, printable(t.Error, 400))}
	}
	if !validSHA256.MatchString(t.SHA256) || t.Size <= 0 || t.Beams == 0 {
		return Tarball{}, fmt.Errorf("%s: the result is not valid", job.doing)
	}
	for _, text := range []*string{&t.AppVersion, &t.Release, &t.ERTS, &t.OTP, &t.Elixir} {
		*text = printable(*text, 80)
	}
	t.dir = job.dir
	return t.Tarball, nil
}

// UploadTarball PUTs the tarball from the temporary machine to a presigned URL with the headers that were signed, and gives the HTTP
// status of the answer (412: the object exists already). caCerts as in Order.
func UploadTarball(ctx context.Context, exec Exec, id, root, putURL string, headers map[string]string, caCerts string, progress func(done, total int64)) (int, error) {
	form := url.Values{"url": {putURL}, "cacerts": {caCerts}}
	for name, value := range headers {
		switch strings.ToLower(name) {
		case "host", "content-length", "connection":
		default:
			form.Set("-"+name, value)
		}
	}
	_, secret, _ := strings.Cut(putURL, "?")
	job := job{exec: exec, name: "upload", dir: "/tmp/flydeploy-" + id, root: root, secret: secret, doing: "uploading the tarball",
		form: base64.StdEncoding.EncodeToString([]byte(form.Encode())) + "\n"}
	text, err := job.run(ctx, progress)
	if err != nil {
		return 0, err
	}
	var answer struct {
		Status int    `json:"status"`
		Body   string `json:"body"`
		Error  string `json:"error"`
	}
	if err := json.Unmarshal([]byte(text), &answer); err != nil {
		return 0, fmt.Errorf("%s: the result is not valid: %w", job.doing, err)
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

// job runs detached on the temporary machine; its folder there is named by the upgrade.
type job struct {
	exec                       Exec
	name, dir, root, app, form string
	secret                     string
	doing                      string
}

func (j job) run(ctx context.Context, progress func(done, total int64)) (string, error) {
	source, err := jobSource()
	if err != nil {
		return "", err
	}
	start := request{shell(scriptJob, j.dir, j.name, j.root, source, j.app), j.form}
	out, err := send(ctx, j.exec, quick, j.doing, start, j.secret)
	if err != nil {
		return "", err
	}
	switch word, _ := out.word(); word {
	case "started":
	case "no_space":
		return "", &Refusal{"temporary_disk_full", fmt.Sprintf("%s: no space left on the temporary machine", j.doing)}
	case "no_release":
		return "", &Refusal{"image_without_release", fmt.Sprintf("%s: the new image has no release at %s", j.doing, j.root)}
	default:
		return "", fmt.Errorf("%s: %w", j.doing, errCut)
	}
	return j.poll(ctx, progress)
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
			return "", &Refusal{"job_died", fmt.Sprintf("%s: its process ended, maybe for want of memory: %s", j.doing, printable(rest, 300))}
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

func jobSource() (string, error) {
	sources, _, err := readSources(elixir.Orchestrator)
	if err != nil {
		return "", err
	}
	source := encode(strings.Join(sources, "\n") + "\nFlyDeployOrchestrator.Job.run()\n")
	if len(source) > maxSource {
		return "", fmt.Errorf("the temporary machine's program takes %d bytes encoded, more than %d", len(source), maxSource)
	}
	return source, nil
}
