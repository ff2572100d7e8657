package agent

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"flydeploy/engine"
	"flydeploy/text"
)

// marker begins every line of an answer that is ours; the number is the protocol's version.
const marker = "FLYDEPLOY1 "

// shell makes the words of one exec: a constant script, and data only as its arguments.
func shell(script string, args ...string) []string {
	return append([]string{"/bin/sh", "-c", script, "fd"}, args...)
}

// scriptVM finds the running VMs. $1 is /proc, $2 and $3 are the release's root and name where they are set. A VM is a
// beam.smp that a release's start command began; its own machine's, where exec and VM both know FLY_MACHINE_ID. Only the
// names listed here leave the machine. A process can claim anything in its environment, and can choose its own name; which
// program it is and who runs it comes from the kernel.
const scriptVM = scriptStarted + `
echo "FLYDEPLOY1 begin"
for d in "$1"/[0-9]*; do
  read -r comm < "$d/comm" || continue
  [ "$comm" = beam.smp ] || continue
  if [ -L "$d/exe" ]; then
    exe=$(readlink "$d/exe")
    case "${exe% (deleted)}" in */beam.smp) ;; *) continue ;; esac
  fi
  env=$(tr '\000\n' '\n\001' < "$d/environ") || continue
  value() { printf '%s\n' "$env" | sed -n "s/^$1=//p" | head -n 1; }
  case "$(value RELEASE_COMMAND)" in start|start_iex|daemon|daemon_iex) ;; *) continue ;; esac
  [ -z "${FLY_MACHINE_ID:-}" ] || [ "$(value FLY_MACHINE_ID)" = "$FLY_MACHINE_ID" ] || continue
  started "$d" || continue
  root=${2:-$(value RELEASE_ROOT)}
  name=${3:-$(value RELEASE_NAME)}
  echo "FLYDEPLOY1 vm ${d##*/} $start"
  for k in RELEASE_ROOT RELEASE_NAME RELEASE_NODE RELEASE_VSN RELEASE_DISTRIBUTION FLY_IMAGE_REF; do
    echo "$k=$(value $k)"
  done
  echo "USER=$uid"
  echo "FOLDER=$(ls -ldn "$root/" | head -n 1)"
  for lib in "$root/lib/$name"-*; do [ -d "$lib/ebin" ] && echo "OTP_APP=$name"; done
done 2>/dev/null
echo "FLYDEPLOY1 end"
`

// scriptStarted defines started DIR: sets start to the process' start time (field 22 of stat), in clock ticks, uid and gid to
// the user and group that run it. The local Fly's own /proc has no status: all its processes are the exec's own user's.
const scriptStarted = `
started() {
  uid=$(id -u) gid=
  while read -r k v more; do
    case $k in Uid:) uid=$v ;; Gid:) gid=$v ;; esac
  done < "$1/status"
  stat=$(cat "$1/stat") || return 1
  start=$(printf '%s' "${stat##*) }" | cut -d' ' -f20)
}
`

// enter makes the script that makes sure that a VM still runs and then carries out what in the VM's environment, which
// bin/NAME needs to find the node. It does so as the VM's user; where root runs a release with files of another user, as that
// user. So root runs nothing that somebody else could have put into the release or the environment. $1 is /proc, $2 the VM's
// pid and $3 its start time, $4 its release's root and $5 name, the rest is for what, which must not hold a single quote.
func enter(what string) string {
	return indent.ReplaceAllString(scriptStarted+`
{ started "$1/$2" && [ "$start" = "$3" ]; } 2>/dev/null || { echo "FLYDEPLOY1 gone"; exit 0; }
if [ "$uid" = 0 ]; then
  other=$(ls -ldn "$4/" "$4/bin" "$4"/bin/* "$4/releases" "$4"/releases/*/ 2>/dev/null |
    while read -r m l u g _; do [ "$u" = 0 ] || { echo "$u $g"; break; }; done)
  [ -z "$other" ] || uid=${other% *} gid=${other#* }
fi
proc=$1/$2 me=$(id -u) what='`+scriptEnvironment+what+`'
shift 3
if [ "$me" = "$uid" ] || [ "$me" != 0 ]; then
  set -- /bin/sh -c "$what" fd "$@"
elif setpriv --reuid="$uid" --regid="$gid" --clear-groups true; then
  set -- setpriv --reuid="$uid" --regid="$gid" --clear-groups /bin/sh -c "$what" fd "$@"
else
  name=$(sed -n "s/^\([^:]*\):[^:]*:$uid:.*/\1/p" /etc/passwd | head -n 1)
  su -s /bin/sh -c true -- "${name:-?}" || { echo "FLYDEPLOY1 no_user $uid"; exit 0; }
  set -- su -s /bin/sh -c "$what" -- "$name" fd "$@"
fi 2>/dev/null
exec "$@" 3<<EOF
$(tr '\000\n' '\n\001' < "$proc/environ")
EOF
`, "")
}

// scriptEnvironment takes over the environment that comes on file descriptor 3. $1 is the release's root, $2 its name.
const scriptEnvironment = `
while IFS= read -r line; do
  case "${line%%=*}" in
    ""|[0-9]*|*[!A-Za-z0-9_]*|UID|EUID|PPID|PWD|OLDPWD|SHELLOPTS|BASHOPTS|IFS) continue ;;
  esac
  case "$line" in *=*) export "$line" ;; esac
done <&3
exec 3<&-
RELEASE_ROOT=$1 RELEASE_NAME=$2
shift 2
`

// scriptStorage prints the storage settings of the VM's environment. Secrets: the answer is never logged.
var scriptStorage = enter(scriptStorageSettings)

// scriptStorageSettings is scriptStorage for the environment that the script has itself.
const scriptStorageSettings = `
echo "FLYDEPLOY1 begin"
for k in AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN AWS_ROLE_ARN AWS_ENDPOINT_URL_S3 AWS_REGION AWS_BUCKET BUCKET_NAME; do
  eval "v=\${$k-}"
  [ -z "$v" ] || printf "%s=%s\n" "$k" "$v"
done
echo "FLYDEPLOY1 end"
`

// scriptRPC evaluates in the VM: $6 the bindings in front (data, base64 and module names only), $7 the program.
var scriptRPC = enter(scriptCall)

// scriptCall is the end of scriptRPC, for scripts that look at something before.
const scriptCall = `
exec </dev/null
` + scriptProgram

// scriptOrder is scriptRPC for a program that reads: bin/NAME's input is that of what it evaluates in the VM.
var scriptOrder = enter(scriptProgram)

// The VM that bin/NAME starts for it does little: with one scheduler of each kind it takes a seventh less CPU of the machine, and the
// more the more cores that has.
const scriptProgram = `
export ERL_AFLAGS="${ERL_AFLAGS:-} +S 1:1 +SDcpu 1:1 +SDio 1"
for p in "${RELEASE_PROG:-}" "$RELEASE_NAME"; do
  [ -n "$p" ] && [ -x "$RELEASE_ROOT/bin/$p" ] && exec "$RELEASE_ROOT/bin/$p" rpc "$1
$2"
done
echo "FLYDEPLOY1 no_program"
`

// scriptWait gives the agent a command and waits up to ten seconds for news. $1 is DIR, $2 the command or "-", $3 the last seq
// seen, $4 for how many seconds news do not count of work that goes on, or of a state that the command ends: an exec is dear.
// mkdir is atomic, and a command that is there was sent before.
const scriptWait = `
gone() { echo "FLYDEPLOY1 gone"; exit 0; }
if [ "$2" != - ]; then mkdir "$1/$2" 2>/dev/null || [ -d "$1/$2" ] || gone; fi
i=0 start=$(date +%s) known=$3
while :; do
  { read -r seq < "$1/seq"; } 2>/dev/null || gone
  if [ "$seq" -gt "$known" ] 2>/dev/null; then
    known=$seq
    case "$2 $(head -c 16384 "$1/status")" in
      *'"state":"staging"'*|*'"state":"arming"'*|*'"state":"committing"'*) [ "$4" -gt 0 ] || break ;;
      "arm "*'"state":"staged"'*|"commit "*'"state":"armed"'*|"abort "*'"state":"staged"'*|"abort "*'"state":"armed"'*) ;;
      *) break ;;
    esac
  fi
  i=$((i+1))
  # On a busy machine everything takes longer: the clock decides, looked at now and then.
  if [ $((i % 10)) -eq 0 ]; then
    waited=$(($(date +%s) - start))
    [ "$waited" -ge 9 ] && break
    [ "$known" -gt "$3" ] && [ "$waited" -ge "$4" ] && break
  fi
  sleep 0.1 2>/dev/null || { sleep 1; i=$((i+9)); }
done
[ -f "$1/status" ] || gone
echo "FLYDEPLOY1 status"
head -c 16384 "$1/status"
echo
echo "FLYDEPLOY1 end"
`

// answer is what a script printed: its lines from the first marker on.
type answer []string

// run executes a script and gives its marked answer. Exit code 0 without a marker is no success.
func run(ctx context.Context, exec Exec, timeout time.Duration, doing string, command []string) (answer, error) {
	return send(ctx, exec, timeout, doing, request{command: command})
}

// request is one exec. What stands in command can be seen in the machine's list of processes.
type request struct {
	command []string
	stdin   string
}

// size is that of the request's body, in bytes.
func (r request) size() int {
	body, _ := json.Marshal(struct {
		Command []string `json:"command"`
		Stdin   string   `json:"stdin,omitempty"`
		Timeout int      `json:"timeout"`
	}{r.command, r.stdin, 60})
	return len(body)
}

// send is run for a script that reads. No error shows what it reads, nor redact.
func send(ctx context.Context, exec Exec, timeout time.Duration, doing string, r request, redact ...string) (answer, error) {
	out, err := exec(ctx, r.command, r.stdin, timeout)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", doing, err)
	}
	lines := strings.Split(strings.TrimRight(out.Stdout, "\n"), "\n")
	for i, line := range lines {
		if strings.HasPrefix(line, marker) {
			return lines[i:], nil
		}
	}
	if isCut(lines[len(lines)-1], marker) {
		return nil, fmt.Errorf("%s: %w", doing, errCut)
	}
	said := text.Redact(strings.TrimSpace(out.Stderr+" "+out.Stdout), append(redact, strings.TrimSpace(r.stdin))...)
	if said == "" {
		// Nothing at all: the platform may have cut the answer after the work was done.
		return nil, fmt.Errorf("%s: the machine answered nothing (exit code %d): %w", doing, out.ExitCode, engine.ErrUnknownOutcome)
	}
	return nil, fmt.Errorf("%s: %w", doing, commandFailed(fmt.Sprintf("exit code %d: %s", out.ExitCode, printable(said, 400))))
}

// word gives the marker line's first word and the rest.
func (a answer) word() (word, rest string) {
	word, rest, _ = strings.Cut(strings.TrimPrefix(a[0], marker), " ")
	return word, rest
}

// whole reports whether the answer reached its end marker: the platform may cut outputs.
func (a answer) whole() bool { return a[len(a)-1] == marker+"end" }

var errCut = fmt.Errorf("the answer was cut: %w", engine.ErrUnknownOutcome)

// isCut recognises the beginning of a text, one of several, that an answer was to hold whole.
func isCut(text string, whole ...string) bool {
	return text != "" && slices.ContainsFunc(whole, func(w string) bool { return len(text) < len(w) && strings.HasPrefix(w, text) })
}

// printable cleans text that others wrote, and cuts it to at most most runes.
func printable(s string, most int) string { return text.Shorten(text.Line(s), most) }
