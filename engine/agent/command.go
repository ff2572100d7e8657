package agent

import (
	"context"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
)

// scriptRun starts a command detached, once, in the release's folder and with the machine's environment. $1 DIR, $2 the folder, $3 the
// command, as a shell reads it. Its process group ends with the machine.
const scriptRun = `
mkdir -p "$1" && chmod 700 "$1" || { echo "FLYDEPLOY1 no_space"; exit 0; }
cd "$2" 2>/dev/null || { echo "FLYDEPLOY1 no_release"; exit 0; }
mkdir "$1/command.started" 2>/dev/null || { echo "FLYDEPLOY1 started"; exit 0; }
new=; command -v setsid >/dev/null && new=setsid
: > "$1/command.log"
nohup $new /bin/sh -c '
  /bin/sh -c "$2" </dev/null >"$1/command.log" 2>&1
  echo $? > "$1/command.new" && mv "$1/command.new" "$1/command.exit"
' run "$1" "$3" </dev/null >/dev/null 2>&1 &
echo $! > "$1/command.pid"
echo "FLYDEPLOY1 started"
`

// scriptOutput waits up to ten seconds for what a command prints behind the first $2 bytes, or for its end. $1 DIR.
const scriptOutput = `
dir=$1 from=$2 i=0 start=$(date +%s)
while :; do
  code=; [ -f "$dir/command.exit" ] && code=$(cat "$dir/command.exit")
  dead=; { read -r pid < "$dir/command.pid"; } 2>/dev/null && ! kill -0 "$pid" 2>/dev/null && dead=1
  size=$(wc -c < "$dir/command.log" 2>/dev/null || echo 0)
  if [ "$size" -gt "$from" ]; then
    printf 'FLYDEPLOY1 output '; tail -c +$((from+1)) "$dir/command.log" | head -c 6000 | base64 | tr -d '\n'
    printf '\nFLYDEPLOY1 end\n'; exit 0
  fi
  [ -n "$code" ] && { printf 'FLYDEPLOY1 exit %s\nFLYDEPLOY1 end\n' "$code"; exit 0; }
  [ -n "$dead" ] && [ ! -f "$dir/command.exit" ] && { printf 'FLYDEPLOY1 died\nFLYDEPLOY1 end\n'; exit 0; }
  i=$((i+1))
  [ $((i % 10)) -eq 0 ] && [ $(($(date +%s) - start)) -ge 9 ] && { printf 'FLYDEPLOY1 quiet\nFLYDEPLOY1 end\n'; exit 0; }
  sleep 0.1 2>/dev/null || { sleep 1; i=$((i+9)); }
done
`

// longestLine is where a line of a command's output is broken, in bytes.
const longestLine = 4000

// Command is one that runs detached on a temporary machine, once: an answer that was lost is asked for again by calling Run anew.
type Command struct {
	exec      Exec
	dir, root string
	text      string
	seen      int
	rest      []byte // of its output, a line that has not ended
}

// NewCommand makes one that runs as root in a folder of the machine, the release's, as /bin/sh reads it. id is the upgrade's: it runs
// once for each.
func NewCommand(exec Exec, id, root, text string) *Command {
	return &Command{exec: exec, dir: jobDir(id) + "-command", root: root, text: text}
}

func (c *Command) start(ctx context.Context) error {
	j := job{root: c.root, doing: "starting the command"}
	out, err := run(ctx, c.exec, quick, j.doing, shell(scriptRun, c.dir, c.root, c.text))
	if err != nil {
		return err
	}
	word, _ := out.word()
	if err := j.refusal(word); err != nil || word == "started" {
		return err
	}
	return fmt.Errorf("%s: %w", j.doing, errCut)
}

// Run starts it, hands over its output line by line, and gives its exit code once it has ended.
func (c *Command) Run(ctx context.Context, line func(string)) (int, error) {
	if err := c.start(ctx); err != nil {
		return 0, err
	}
	for {
		out, err := send(ctx, c.exec, callTimeout, "following the command", request{command: shell(scriptOutput, c.dir, strconv.Itoa(c.seen))})
		if err != nil {
			return 0, err
		}
		if !out.whole() {
			return 0, fmt.Errorf("following the command: %w", errCut)
		}
		switch word, rest := out.word(); word {
		case "output":
			printed, err := base64.StdEncoding.DecodeString(strings.TrimSpace(rest))
			if err != nil {
				return 0, fmt.Errorf("following the command: %w", err)
			}
			c.take(printed, line)
		case "exit":
			c.flush(line)
			code, err := strconv.Atoi(strings.TrimSpace(rest))
			return code, err
		case "died":
			c.flush(line)
			return 0, &Refusal{"command_died", "the command was killed, perhaps because memory ran out"}
		}
		if err := ctx.Err(); err != nil {
			return 0, fmt.Errorf("following the command: %w", err)
		}
	}
}

// take hands over the lines that are whole.
func (c *Command) take(printed []byte, line func(string)) {
	c.seen += len(printed)
	c.rest = append(c.rest, printed...)
	for {
		before, after, ended := strings.Cut(string(c.rest), "\n")
		if !ended && len(c.rest) < longestLine {
			return
		}
		if !ended {
			before, after = string(c.rest[:longestLine]), string(c.rest[longestLine:])
		}
		line(strings.TrimRight(before, "\r"))
		c.rest = []byte(after)
	}
}

func (c *Command) flush(line func(string)) {
	if len(c.rest) > 0 {
		line(string(c.rest))
		c.rest = nil
	}
}
