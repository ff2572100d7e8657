package local

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	fly "github.com/superfly/fly-go"
)

// execRequest is what a client sends to run a command.
type execRequest struct {
	Command []string `json:"command,omitempty"`
	Cmd     string   `json:"cmd,omitempty"`
	Stdin   string   `json:"stdin,omitempty"`
}

// execWords runs a command over the API and wants it to be run.
func execWords(t *testing.T, f *Fly, id string, command ...string) ExecResult {
	t.Helper()
	return execRaw(t, f, id, execRequest{Command: command})
}

func execRaw(t *testing.T, f *Fly, id string, request execRequest) ExecResult {
	t.Helper()
	body, err := json.Marshal(request)
	if err != nil {
		t.Fatal(err)
	}
	response, answer := rawRequest(t, f, http.MethodPost, "/machines/"+id+"/exec", string(body))
	if response.StatusCode != http.StatusOK {
		t.Fatalf("exec %q: %d %s", request.Command, response.StatusCode, answer)
	}
	var result ExecResult
	if err := json.Unmarshal([]byte(answer), &result); err != nil {
		t.Fatal(err)
	}
	return result
}

func TestExec(t *testing.T) {
	eachIsolation(t, func(t *testing.T, f *Fly) {
		id := launchShell(t, f, MachineSpec{})
		tests := []struct {
			name    string
			request execRequest
			want    ExecResult
		}{
			{"words are no shell's", execRequest{Command: []string{"echo", "a", "&&", "b", "$HOME", "*"}}, ExecResult{Stdout: "a && b $HOME *\n"}},
			{"a line is split", execRequest{Cmd: `printf %s: a "b c" 'd "e' f\ g ''`}, ExecResult{Stdout: `a:b c:d "e:f g::`}},
			{"stdin", execRequest{Command: []string{"cat"}, Stdin: "given"}, ExecResult{Stdout: "given"}},
			{"streams and code", execRequest{Command: []string{"/bin/sh", "-c", "echo out; echo err >&2; exit 3"}}, ExecResult{Stdout: "out\n", Stderr: "err\n", ExitCode: 3}},
			{"signal", execRequest{Command: []string{"/bin/sh", "-c", "kill -9 $$"}}, ExecResult{ExitSignal: 9}},
			{"arguments of sh -c", execRequest{Command: []string{"/bin/sh", "-c", `echo "$0 $2"`, "fd", "one", "two three"}}, ExecResult{Stdout: "fd two three\n"}},
			{"what goes on in the background is not waited for", execRequest{Command: []string{"/bin/sh", "-c", "sleep 300 >/dev/null 2>&1 & echo started"}}, ExecResult{Stdout: "started\n"}},
			{"children that hold an output are waited for", execRequest{Command: []string{"/bin/sh", "-c", "(sleep 2; echo late >&2) & echo started"}}, ExecResult{Stdout: "started\n", Stderr: "late\n"}},
			{"the machine's environment", execRequest{Command: []string{"/bin/sh", "-c", "echo $FLY_MACHINE_ID"}}, ExecResult{Stdout: id + "\n"}},
		}
		if f.Isolation() == Namespaces { // Fly's documentation, "Naming Your Elixir Node", reads it so
			address := execWords(t, f, id, "/bin/sh", "-c", `[ "$(grep fly-local-6pn /etc/hosts | cut -f 1)" = "$FLY_PRIVATE_IP" ] && echo "$FLY_PRIVATE_IP"`)
			if !strings.HasPrefix(address.Stdout, "fdaa:") {
				t.Errorf("the private address in /etc/hosts: %+v", address)
			}
		}
		for _, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				if got := execRaw(t, f, id, test.request); got != test.want {
					t.Errorf("got %+v, want %+v", got, test.want)
				}
			})
		}
	})
}

// A console finds the release in the environment of the machine's processes, and runs its script.
func TestExecFindsTheRelease(t *testing.T) {
	eachIsolation(t, func(t *testing.T, f *Fly) {
		id := launchSample(t, f, MachineSpec{})
		const script = `for e in /proc/[0-9]*/environ; do
	dir=${e%/environ}
	read -r comm <"$dir/comm" && [ "$comm" = beam.smp ] && [ -f "$dir/stat" ] || continue
	root=$(tr '\0' '\n' <"$e" 2>/dev/null | sed -n 's/^RELEASE_ROOT=//p')
	name=$(tr '\0' '\n' <"$e" 2>/dev/null | sed -n 's/^RELEASE_NAME=//p')
	[ -n "$root" ] && break
done
cd "$root" && pwd && exec bin/"$name" rpc "$1"`
		result := execWords(t, f, id, "/bin/sh", "-c", script, "fd", `IO.puts(System.fetch_env!("RELEASE_ROOT"))`)
		lines := strings.Split(result.Stdout, "\n")
		if result.ExitCode != 0 || len(lines) != 3 || lines[0] != "/app" || lines[1] != "/app" {
			t.Fatalf("got %+v", result)
		}
		// What a script found is used in the next one.
		again := execWords(t, f, id, "/bin/sh", "-c", `ls "$1"`, "fd", lines[0]+"/bin")
		if again.Stdout != "sample\n" {
			t.Errorf("ls of the release's bin: %+v", again)
		}
		if same := execWords(t, f, id, "ls", "/app/bin"); same != again {
			t.Errorf("ls /app/bin: %+v, want %+v", same, again)
		}
	})
}

func TestExecRefusals(t *testing.T) {
	eachIsolation(t, func(t *testing.T, f *Fly) {
		id := launchShell(t, f, MachineSpec{})
		tests := []struct {
			name, body string
			status     int
			says       string
		}{
			{"more than a minute", `{"command":["id"],"timeout":61}`, 400, `{"error":"timeout must not exceed 60 seconds"}`},
			{"nothing", `{}`, 400, "no command"},
			{"an open quote", `{"cmd":"echo 'a"}`, 400, "quote"},
			{"no JSON", `id`, 400, "invalid_argument"},
			{"no such program", `{"command":["no-such-program"]}`, 500, "no-such-program"},
			{"too long", `{"command":["sleep","300"],"timeout":1}`, 408, "deadline_exceeded"},
			{"an output that a child holds too long", `{"command":["/bin/sh","-c","sleep 5 & echo 1"],"timeout":1}`, 408, "deadline_exceeded"},
			{"a large request", `{"command":["echo","` + strings.Repeat("x", 16<<10) + `"]}`, 200, `Rejection([PayloadTooLarge`},
		}
		for _, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				response, body := rawRequest(t, f, http.MethodPost, "/machines/"+id+"/exec", test.body)
				if response.StatusCode != test.status || !strings.Contains(body, test.says) {
					t.Errorf("got %d %s, want %d and %q", response.StatusCode, body, test.status, test.says)
				}
			})
		}
		if left := execWords(t, f, id, "/bin/sh", "-c", "cat /proc/*/cmdline 2>/dev/null | tr '\\0' ' '"); strings.Contains(left.Stdout, "sleep 300") {
			t.Error("a command that took too long still runs")
		}
	})
}

func TestFlyGoExec(t *testing.T) {
	f := startProcesses(t)
	id := launchShell(t, f, MachineSpec{})
	result, err := client(t, f, f.ExecToken()).Exec(t.Context(), "sample", id, &fly.MachineExecRequest{Cmd: "echo hello", Timeout: 5})
	if err != nil || result.StdOut != "hello\n" {
		t.Errorf("exec by fly-go: %+v, %v", result, err)
	}
}
