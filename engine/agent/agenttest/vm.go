package agenttest

import (
	"bytes"
	"cmp"
	"compress/zlib"
	"context"
	"crypto/md5"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"flydeploy/engine/agent"
)

// request is an exec, taken apart.
type request struct {
	script agent.Script
	args   []string
	stdin  string
	order  order // of ScriptOrder
	err    error // why there is none
}

func read(command []string, stdin string) request {
	r := request{stdin: stdin}
	r.script, r.args, _ = agent.ScriptOf(command)
	if r.script == agent.ScriptOrder {
		r.order, r.err = readOrder(stdin)
	}
	return r
}

// describe says what the exec is, for hooks.
func (r request) describe(c *Call) {
	switch c.Kind = Kind(r.script); r.script {
	case "":
		c.Kind = OtherExec
	case agent.ScriptOrder:
		c.Arg = r.order.id
	case agent.ScriptCall:
		if c.Kind = Kind(r.args[1]); c.Kind == "-" {
			c.Kind = Wait
		}
		_, c.Arg, _ = strings.Cut(r.args[0], "/flydeploy-")
		c.Seen, _ = strconv.ParseInt(r.args[2], 10, 64)
	case agent.ScriptJob, agent.ScriptPoll:
		c.Arg = r.args[1]
	case agent.ScriptTrial:
		c.Arg = confirmedBy(r.args[5])
	case agent.ScriptRun:
		c.Arg = r.args[2]
	}
}

const (
	marker = "FLYDEPLOY1 "
	root   = "/app"
)

func say(lines ...string) Output { return Output{Stdout: strings.Join(lines, "\n") + "\n"} }

func sayEnv(env map[string]string) []string {
	var lines []string
	for _, key := range slices.Sorted(maps.Keys(env)) {
		lines = append(lines, key+"="+env[key])
	}
	return lines
}

func (w *World) discover(m *machine) Output {
	lines := []string{marker + "begin"}
	if v := m.vm; v != nil && !time.Now().Before(v.found) {
		lines = append(lines, marker+"vm "+v.pid+" "+v.start, "RELEASE_ROOT="+root, "RELEASE_NAME="+App, "RELEASE_NODE="+App+"-"+m.ID+"@fly",
			"RELEASE_VSN="+ReleaseOf(m.Image).Version, "RELEASE_DISTRIBUTION=name", "FLY_IMAGE_REF="+m.Image, "USER=65534",
			"FOLDER=drwxr-xr-x 6 65534 0 4096 Nov 29 10:00 "+root+"/", "OTP_APP="+App)
	}
	return say(append(lines, marker+"end")...)
}

// describeImage is for a machine that runs no VM.
func (w *World) describeImage(m *machine) Output {
	lines := []string{marker + "image", marker + "vm - -", "RELEASE_ROOT=" + root, "RELEASE_NAME=" + App, "RELEASE_VSN=" + ReleaseOf(m.Image).Version,
		"OTP_APP=" + App, marker + "begin"}
	return say(append(append(lines, sayEnv(w.settings)...), marker+"end")...)
}

// enter carries out a script that finds the VM again, /proc, pid and start time being the first of its ARGS.
func (w *World) enter(ctx context.Context, m *machine, r request) (Output, error) {
	v, now := m.vm, time.Now()
	if v == nil || now.Before(v.found) || r.args[1] != v.pid || r.args[2] != v.start {
		return say(marker + "gone"), nil
	}
	if r.script == agent.ScriptStorage {
		return say(append(append([]string{marker + "begin"}, sayEnv(w.settings)...), marker+"end")...), nil
	}
	if r.script == agent.ScriptStorageConfig && m.hook == agent.HookAbsent {
		return say(marker+"begin", marker+"end"), nil // the release lacks the package: the VM is not asked
	}
	switch {
	case r.args[3] != root || r.args[4] != App:
		return say(marker + "no_program"), nil
	case now.Before(v.answers):
		return nodeDown, nil
	}
	switch r.script {
	case agent.ScriptStorageConfig:
		return say(marker+"begin", marker+"end"), nil
	case agent.ScriptFacts:
		return m.facts(), nil
	case agent.ScriptCode:
		return m.code(), nil
	case agent.ScriptTrial:
		return m.tellTrial(r.args[5]), nil
	case agent.ScriptSettings:
		return settings(r.stdin), nil
	default:
		return w.bootstrap(ctx, m, r)
	}
}

func (m *machine) hookLines() []string {
	lines := []string{"hook=" + string(m.hook)}
	if m.hook == agent.HookCalled && !m.old {
		lines = append(lines, "reads=names")
	}
	if c := m.vm.call; m.hook == agent.HookCalled {
		lines = append(lines, fmt.Sprintf("call=%s %s %s", c.App, c.Outcome, c.Text))
	}
	if e := m.vm.undone; e != nil {
		lines = append(lines, "undone="+e.Name+" "+e.What)
	}
	return lines
}

func (m *machine) facts() Output {
	lines := append([]string{marker + "facts", "otp=" + otp, "elixir=" + elixir, "crypto=true", "ssl=true", "certificates=140"}, m.hookLines()...)
	lines = append(lines, "poller=false", fmt.Sprintf("agent=%t", m.vm.living() != nil), "user=1000", fmt.Sprintf("clock_ms=%d", time.Now().UnixMilli()),
		"app="+App+" "+ReleaseOf(m.Image).Version+" top", marker+"end")
	return say(lines...)
}

// settings is settings.exs: a setting for each file that it is given.
func settings(stdin string) Output {
	text, err := decode(stdin)
	form, err2 := url.ParseQuery(text)
	if err != nil || err2 != nil {
		return Output{Stderr: "** (ArgumentError)\n", ExitCode: 1}
	}
	var lines strings.Builder
	for _, name := range slices.Sorted(maps.Keys(form)) {
		sum := md5.Sum([]byte(form.Get(name)))
		fmt.Fprintf(&lines, "setting %x %s all\n", sum[:4], name)
	}
	var b bytes.Buffer
	z := zlib.NewWriter(&b)
	_, _ = z.Write([]byte(lines.String()))
	_ = z.Close()
	return say(marker+"settings", "otp="+otp, "erts="+erts, "elixir="+elixir, "lines="+base64.StdEncoding.EncodeToString(b.Bytes()), marker+"end")
}

// Fingerprint is what a VM tells that has loaded code.
func (r Release) Fingerprint() string {
	sum := md5.Sum([]byte(r.SHA256))
	return hex.EncodeToString(sum[:])
}

func (m *machine) code() Output {
	v := m.vm
	lines := []string{marker + "code", "fingerprint=" + v.code.Fingerprint(), "modules=6", "memory=182400000", "processes=3204", "run_queue=1", fmt.Sprintf("drifted=%d", len(v.drifted))}
	lines = append(lines, m.hookLines()...)
	if v.hotRef != "" {
		lines = append(lines, "hot_ref="+v.hotRef, "version="+v.code.Version)
	} else {
		lines = append(lines, "hot_ref=", "version=")
	}
	lines = append(lines, "image_code="+ReleaseOf(m.Image).Fingerprint())
	lines = append(lines, v.trial.lines()...)
	for _, module := range v.drifted[:min(len(v.drifted), 5)] {
		lines = append(lines, "drift="+module)
	}
	return say(append(lines, marker+"end")...)
}

var bindings = regexp.MustCompile(`^id = "([^"]*)"; modules = \d+; agent = "FlyDeployAgent_[0-9a-f]{12}"; order = `)

// bootstrap is bootstrap.exs: unless an agent is at work it downloads one and starts it.
func (w *World) bootstrap(ctx context.Context, m *machine, r request) (Output, error) {
	bound := bindings.FindStringSubmatch(r.args[5])
	if bound == nil {
		return Output{Stderr: "** (TokenMissingError)\n", ExitCode: 1}, nil
	}
	if out, err := w.atWork(ctx, m, bound[1]); out != nil || err != nil {
		return *cmp.Or(out, &Output{}), err
	}
	if r.err != nil {
		return Output{Stderr: "** (ArgumentError) " + r.err.Error() + "\n", ExitCode: 1}, nil
	}
	refused := w.loads(r.order)
	if refused == nil && r.order.fence != "" && r.order.fence < m.vm.fence {
		refused = &agent.Error{Name: "superseded", What: "deploy " + m.vm.fence + " has taken the lock since, and has been in this VM"}
	}
	if refused == nil && m.dirs[dirOf(r.order.id)] {
		refused = &agent.Error{Name: "refused", What: dirOf(r.order.id) + " cannot be made: file already exists"}
	}
	if refused != nil {
		return say(marker + "refused " + toJSON(refused)), nil
	}
	m.vm.fence = cmp.Or(r.order.fence, m.vm.fence)
	return say(marker + "started " + w.begin(m, r.order).about()), nil
}

// The Elixir and OTP of all VMs and images.
const (
	otp    = "25"
	elixir = "1.14.0"
)

// loads says why a VM refuses the compiled agent of an order; nil: it loads it.
func (w *World) loads(o order) *agent.Error {
	if o.agent.OTP != otp {
		return &agent.Error{Name: "otp_differs", What: fmt.Sprintf("OTP %s runs here, the new image has %s", otp, o.agent.OTP)}
	}
	if o.agent.Elixir != elixir {
		return &agent.Error{Name: "elixir_differs", What: fmt.Sprintf("Elixir %s runs here, the new image has %s", elixir, o.agent.Elixir)}
	}
	file, status := w.bucket.get(o.agent.URL)
	switch {
	case status != 200:
		return &agent.Error{Name: "download_failed", What: fmt.Sprintf("the download from storage.test failed: it answered %d", status)}
	case file.size < o.agent.Size:
		return &agent.Error{Name: "download_failed", What: "the download from storage.test failed: closed"}
	case file.sha256 != o.agent.SHA256:
		return &agent.Error{Name: "sha256_differs", What: "the sha256 of the compiled agent is not the expected one"}
	}
	return nil
}

// decode reads base64 of zlib.
func decode(text string) (string, error) {
	raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(text))
	if err != nil {
		return "", err
	}
	r, err := zlib.NewReader(bytes.NewReader(raw))
	if err != nil {
		return "", err
	}
	all, err := io.ReadAll(r)
	return string(all), err
}

// atWork is the answer of a VM that has an agent; nil: it has none. An agent inside its window answers only afterwards.
func (w *World) atWork(ctx context.Context, m *machine, id string) (*Output, error) {
	answer := func(word, about string) (*Output, error) {
		out := say(marker + word + " " + about)
		return &out, nil
	}
	patience := time.Now().Add(5 * time.Second)
	for {
		if m.vm == nil {
			return &nodeDown, nil
		}
		there := m.vm.living()
		switch {
		case there == nil:
			return nil, nil
		case there.state != agent.Committing && there.order.id == id:
			return answer("started", there.about())
		case there.state != agent.Committing:
			return answer("busy", there.about())
		case !time.Now().Before(patience):
			return answer("busy", `{"id":"","owner":"","state":"committing","expires_in_ms":0}`)
		}
		if err := w.await(ctx, m, patience); err != nil {
			return nil, err
		}
	}
}

func toJSON(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}
