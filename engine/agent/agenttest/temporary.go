package agenttest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"flydeploy/engine"
	"flydeploy/engine/agent"
)

// Temporary says what is wrong with temporary machines; the zero value: nothing.
type Temporary struct {
	CreateError        error
	NoRelease, NoSpace bool   // the job does not start
	PackError          string // of the tarball's job
	DownloadError      string // of the agent's source
	UploadError        string
	UploadStatus       int // instead of the bucket's own
	UploadBody         string
	Dies               string // the job whose process ends by itself
}

// SetTemporary says what is wrong with temporary machines from now on.
func (w *World) SetTemporary(t Temporary) { w.locked(func() { w.temporary = t }) }

// job is detached work on a temporary machine.
type job struct {
	begun  time.Time
	takes  time.Duration
	total  int64
	died   bool
	result string // JSON
	finish func() string
}

// CreateTemporary implements engine.Fleet.
func (f *Fleet) CreateTemporary(ctx context.Context, spec engine.TemporaryMachine) (engine.Machine, error) {
	w := f.world
	return ask(ctx, w, Call{Console: f.console, Kind: CreateTemporary, Arg: spec.Image}, func() (engine.Machine, error) {
		w.mu.Lock()
		if w.forbidden || w.temporary.CreateError != nil {
			defer w.mu.Unlock()
			if w.forbidden {
				return engine.Machine{}, engine.ErrForbidden
			}
			return engine.Machine{}, w.temporary.CreateError
		}
		w.made++
		m := w.add(engine.Machine{
			ID: fmt.Sprintf("temp%d", w.made), Region: append(spec.Regions, engine.AnyRegion)[0], Image: spec.Image, Temporary: spec.UpgradeID, UnderLock: spec.UnderLock, LeftOut: "temporary machine of a deploy",
		})
		m.jobs = map[string]*job{}
		if spec.LiveFor > 0 {
			m.dies = time.Now().Add(spec.LiveFor)
			w.dying = append(w.dying, m)
		}
		created, takes := m.Machine, w.timing.Create
		w.mu.Unlock()
		if err := pause(ctx, takes); err != nil { // it is there all the same
			return engine.Machine{}, unanswered(Call{Kind: CreateTemporary}, err)
		}
		return created, nil
	})
}

// Destroy implements engine.Fleet. It refuses machines that are not temporary.
func (f *Fleet) Destroy(ctx context.Context, id string) error {
	w := f.world
	return tell(ctx, w, Call{Console: f.console, Kind: Destroy, Machine: id}, func() error {
		w.mu.Lock()
		defer w.mu.Unlock()
		if m := w.byID[id]; m != nil && m.Temporary == "" {
			return fmt.Errorf("destroy machine %s: it is not a temporary one", id)
		}
		w.remove(id)
		return nil
	})
}

// Temporaries gives the ids of the temporary machines that are there.
func (w *World) Temporaries() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.endTemporary()
	var ids []string
	for _, m := range w.machines {
		if m.Temporary != "" {
			ids = append(ids, m.ID)
		}
	}
	return ids
}

// endTemporary removes temporary machines whose time is up.
func (w *World) endTemporary() {
	w.dying = slices.DeleteFunc(w.dying, func(m *machine) bool {
		over := !time.Now().Before(m.dies)
		if over {
			w.remove(m.ID)
		}
		return over
	})
}

// compiled is what a machine makes of a source, and its file.
func compiled(source []byte) (engine.CompiledAgent, []byte) {
	from := sha256.Sum256(source)
	file := bytes.Repeat(from[:], agentSize/sha256.Size+1)[:agentSize]
	sum := sha256.Sum256(file)
	return engine.CompiledAgent{SHA256: hex.EncodeToString(sum[:]), Size: agentSize, OTP: otp, Elixir: elixir}, file
}

const agentSize = 90_000

// PutAgent puts the agent that this flydeploy would have compiled into the bucket.
func (w *World) PutAgent() engine.CompiledAgent {
	source, err := agent.AgentSource()
	if err != nil {
		panic(err)
	}
	a, file := compiled(source.File)
	key := fmt.Sprintf("releases/%s-agent-%s.beams", App, a.SHA256[:12])
	w.locked(func() { w.bucket.write(key, object{body: file, sha256: a.SHA256}) })
	a.URL, a.Source = base+key, source.Hash
	return a
}

// startJob starts a job, once, and waits for news of it.
func (w *World) startJob(ctx context.Context, m *machine, r request) (Output, error) {
	name := r.args[1]
	switch {
	case m.jobs == nil, w.temporary.NoRelease:
		return say(marker + "no_release"), nil
	case w.temporary.NoSpace:
		return say(marker + "no_space"), nil
	case m.jobs[name] != nil:
		return w.pollJob(ctx, m, name, "")
	}
	release := ReleaseOf(m.Image)
	j := &job{begun: time.Now(), died: w.temporary.Dies == name}
	switch name {
	case "tarball":
		j.takes, j.total = w.timing.Pack, 300
		if r.args[4] == "true" {
			release = release.WithConfig()
			w.configs[release.SHA256] = true
		}
		j.finish = func() string { return w.pack(r, release) }
	case "agent":
		j.takes = w.timing.Pack
		j.finish = func() string { return toJSON(w.compile(m, r)) }
	case "upload":
		j.takes, j.total = w.timing.Upload, release.Size
		j.finish = func() string { return w.upload(r, object{size: release.Size}) }
	case "upload_agent":
		j.takes = w.timing.Upload
		j.finish = func() string { return w.upload(r, object{body: m.agent, size: agentSize}) }
	}
	m.jobs[name] = j
	return w.pollJob(ctx, m, name, "")
}

func (w *World) pack(r request, release Release) string {
	if w.temporary.PackError != "" {
		return toJSON(map[string]any{"error": w.temporary.PackError})
	}
	return toJSON(agent.Tarball{
		Path: r.args[0] + "/upgrade.tar.gz", SHA256: release.SHA256, Size: release.Size, AppVersion: release.Version, Release: release.Version,
		ERTS: erts, OTP: otp, Elixir: elixir, Entries: 300, Beams: 120,
	})
}

// form is what a job reads.
func (r request) form() url.Values {
	raw, _ := base64.StdEncoding.DecodeString(strings.TrimSpace(r.stdin))
	form, _ := url.ParseQuery(string(raw)) // what is missing is refused
	return form
}

// compile is the agent's job: it downloads the source and compiles that alone which the console means.
func (w *World) compile(m *machine, r request) map[string]any {
	form := r.form()
	if w.temporary.DownloadError != "" {
		return map[string]any{"name": "download_failed", "error": w.temporary.DownloadError}
	}
	source, status := w.bucket.get(form.Get("url"))
	if status != http.StatusOK {
		return map[string]any{"status": status, "body": ""}
	}
	if sum := sha256.Sum256(source.body); hex.EncodeToString(sum[:]) != form.Get("sha256") {
		return map[string]any{"name": "sha256_differs", "error": "the sha256 of what the storage gave is not the expected one"}
	}
	var made engine.CompiledAgent
	made, m.agent = compiled(source.body)
	return map[string]any{"agent": made}
}

func (w *World) upload(r request, o object) string {
	if w.temporary.UploadError != "" {
		return toJSON(map[string]any{"error": w.temporary.UploadError})
	}
	form := r.form()
	if form.Get("url") == "" {
		return toJSON(map[string]any{"error": "KeyError in the temporary machine's job"})
	}
	headers := map[string]string{}
	for name := range form {
		if header, ok := strings.CutPrefix(name, "-"); ok {
			headers[header] = form.Get(name)
		}
	}
	status, body := w.temporary.UploadStatus, w.temporary.UploadBody
	if status == 0 {
		status = w.bucket.put(form.Get("url"), headers, o)
	}
	return toJSON(map[string]any{"status": status, "body": body})
}

// pollJob waits for a job's result, or for progress that the console has not seen.
func (w *World) pollJob(ctx context.Context, m *machine, name, seen string) (Output, error) {
	until := time.Now().Add(callWait)
	j := m.jobs[name]
	for {
		now := ""
		moment := until
		if j != nil {
			if j.died {
				return say(marker+"died Killed ", marker+"end"), nil
			}
			passed := time.Since(j.begun)
			if passed >= j.takes {
				if j.result == "" {
					j.result = j.finish()
				}
				return say(marker+"result "+j.result, marker+"end"), nil
			}
			tenth := j.takes / 10
			n := int64(passed / max(tenth, 1))
			if n > 0 {
				now = fmt.Sprintf("%d %d", j.total*min(n, 10)/10, j.total)
			}
			if next := j.begun.Add(time.Duration(n+1) * tenth); next.Before(moment) {
				moment = next
			}
			if end := j.begun.Add(j.takes); end.Before(moment) {
				moment = end
			}
		}
		if now != seen || !time.Now().Before(until) {
			return say(marker+"progress "+now, marker+"end"), nil
		}
		if err := w.await(ctx, m, moment); err != nil {
			return Output{}, err
		}
	}
}
