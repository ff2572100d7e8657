// Package agenttest plays a fleet, the agents in its machines, and a bucket with lock, records and tarballs, all in
// memory. It speaks the protocol of package agent: a deploy on it runs the console's own code, in milliseconds. Package
// contract keeps it and real machines alike.
//
// Nothing takes time unless a test says so (SetTiming, Behave, Boot, Delay, …). What does take time follows package time, so
// that within testing/synctest it is virtual. A world needs no end: it has no goroutine of its own. Code that is tested in
// virtual time must not hold a mutex while it waits for a call: time does not pass for who waits for a mutex.
//
// Every call of a console goes through hooks, by which a test watches, fails, delays or changes it. There are ready-made
// ones:
//
//	w := agenttest.NewWorld(3) // m00, m01, m02 run Image1
//	w.On(agenttest.Match{Kind: agenttest.Commit, Machine: "m01", Times: 1}, agenttest.LoseAnswer)
//	w.On(agenttest.Match{Kind: agenttest.Arm, Machine: "m02"}, agenttest.Before(func() { w.Restart("m02", agenttest.Boot{}) }))
//	w.On(agenttest.Match{Kinds: agenttest.Kind.IsExec}, agenttest.Outage(150*time.Second))
//	w.Behave("m00", func(b *agenttest.Behaviour) { b.Outcome = agent.RolledBack })
//
// The ports of a deploy are w.Fleet, w.Storage, w.Build and w.ReadImage; those of a colleague's computer are NewConsole's. Afterwards
// State, Current, Object, Temporaries and Calls tell what has become of the world.
package agenttest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"regexp"
	"strings"
	"sync"
	"time"

	"flydeploy/engine"
)

// App is the name of the world's Fly app, release and OTP application.
const App = "counter"

const registry = "registry.fly.io/" + App + ":"

// The images of a new world: its machines run Image1, a build makes Image2.
const (
	Image1 = registry + "v1"
	Image2 = registry + "v2"
	Image3 = registry + "v3"
)

// Release is what an image holds. The tarball that is made of it has its digest.
type Release struct {
	Image   string
	Version string // of the OTP application
	SHA256  string // hex
	Size    int64  // of the tarball, bytes
}

var tagVersion = regexp.MustCompile(`:v(\d+)`)

// ReleaseOf gives the release of an image: "…:v2" holds version 2.0.0.
func ReleaseOf(image string) Release {
	version := "1.0.0"
	if m := tagVersion.FindStringSubmatch(image); m != nil {
		version = m[1] + ".0.0"
	}
	image, _, _ = strings.Cut(image, "@")
	sum := sha256.Sum256([]byte(image))
	return Release{Image: image, Version: version, SHA256: hex.EncodeToString(sum[:]), Size: 100_000}
}

// WithConfig gives the release as it is packed with its configuration.
func (r Release) WithConfig() Release {
	sum := sha256.Sum256([]byte(r.SHA256 + " with its configuration"))
	r.SHA256 = hex.EncodeToString(sum[:])
	return r
}

// configIn gives the sha256 of a tarball if that holds its configuration, else "".
func (w *World) configIn(sha256 string) string {
	if w.configs[sha256] {
		return sha256
	}
	return ""
}

// Timing says how long things take that every deploy waits for.
type Timing struct {
	// Latency is how long a call of the Machines API travels, there and back; Storage is the bucket's.
	Latency, Storage time.Duration
	// Tick is the time after which an agent sees a command.
	Tick time.Duration
	// Pack and Upload are the temporary machine's jobs, Create its start, Build the image's.
	Pack, Upload, Create, Build time.Duration
}

// Usual is what things take on Fly.
var Usual = Timing{
	Latency: 500 * time.Millisecond, Storage: 60 * time.Millisecond, Tick: 50 * time.Millisecond, Pack: 6 * time.Second, Upload: 2 * time.Second, Create: 5 * time.Second,
	Build: time.Minute,
}

// World is a fleet, a bucket, and the console that looks at them. Its methods may be called while a deploy runs, also
// by hooks.
type World struct {
	*Console // the one without a name

	mu        sync.Mutex
	hooks     []*Hook
	calls     []Call
	timing    Timing
	machines  []*machine
	byID      map[string]*machine
	dying     []*machine // temporary ones that end by themselves
	made      int        // temporary machines
	booted    int        // VMs
	built     string
	forbidden bool
	temporary Temporary
	command   Command
	behaviour Behaviour
	settings  map[string]string
	bucket    bucket
	files     map[string]string // of images; nil: FilesOf
	configs   map[string]bool   // sha256s of tarballs that hold their configuration
}

// NewWorld makes a world with machines m00, m01, … that run Image1, half of them in ams, half in fra.
func NewWorld(machines int) *World {
	w := &World{
		byID: map[string]*machine{}, configs: map[string]bool{}, built: Image2, behaviour: usualBehaviour(),
		bucket: bucket{objects: map[string]*object{}},
		settings: map[string]string{
			"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_ENDPOINT_URL_S3": endpoint, "AWS_REGION": "auto", "BUCKET_NAME": bucketName,
		},
	}
	w.Console = w.NewConsole("")
	for i := range machines {
		w.Add(engine.Machine{ID: fmt.Sprintf("m%02d", i), Region: []string{"ams", "fra"}[i%2]})
	}
	return w
}

// Console is what one computer sees of the world.
type Console struct {
	Fleet   *Fleet
	Storage *Storage

	world *World
	name  string
}

// NewConsole gives another computer's view; its calls bear its name.
func (w *World) NewConsole(name string) *Console {
	return &Console{Fleet: &Fleet{w, name}, Storage: &Storage{world: w, console: name}, world: w, name: name}
}

// Build makes the image that SetBuild says, Image2 at first. It is an engine.Build.
func (c *Console) Build(ctx context.Context, log func(line string)) (string, error) {
	return ask(ctx, c.world, Call{Console: c.name, Kind: Build}, func() (string, error) {
		c.world.mu.Lock()
		image, takes := c.world.built, c.world.timing.Build
		c.world.mu.Unlock()
		if log != nil {
			log("building " + image)
		}
		return image, pause(ctx, takes)
	})
}

// SetBuild says which image the next builds make.
func (w *World) SetBuild(image string) { w.locked(func() { w.built = image }) }

// SetTiming says how long things take from now on. At first nothing takes time.
func (w *World) SetTiming(t Timing) { w.locked(func() { w.timing = t }) }

// SetStorageSettings says what the VMs have in their environment of the bucket.
func (w *World) SetStorageSettings(env map[string]string) {
	w.locked(func() { w.settings = maps.Clone(env) })
}

func (w *World) locked(change func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change()
}
