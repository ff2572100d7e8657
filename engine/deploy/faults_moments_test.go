package deploy_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"flydeploy/fly/local"
)

// moment is a request of a deploy that a fault can meet: what the deploy asks for by it, and which of several.
type moment struct {
	name string
	// request says what it is: "exec inject", "list", "PUT lock".
	request string
	nth     int // from 1
}

// The requests to the Machines API in the order of a deploy.
var apiMoments = []moment{
	{"the first look at the fleet", "list", 1},
	{"looking for the VM", "exec discover", 1},
	{"reading its storage settings", "exec storage", 1},
	{"asking for its configured storage", "exec storage config", 1},
	{"asking what the token may do", "may create", 1},
	{"looking at the fleet behind the lock", "list", 2},
	{"starting the temporary machine", "create", 1},
	{"waiting for the temporary machine", "get", 1},
	{"starting to pack", "exec start tarball", 1},
	{"starting to compile the agent", "exec start agent", 1},
	{"starting the agent's upload", "exec start upload_agent", 1},
	{"starting the upload", "exec start upload", 1},
	{"destroying the temporary machine", "destroy", 1},
	{"looking for the VM to stage in", "exec discover", 2},
	{"injecting the agent", "exec inject", 1},
	{"waiting for the staging", "exec wait", 1},
	{"looking at the fleet after the confirmation", "list", 3},
	{"arming", "exec arm", 1},
	{"committing", "exec commit", 1},
	{"looking at the fleet after the commit", "list", 4},
	{"letting the agent go", "exec finish", 1},
}

// The requests to S3, those of the machines among them.
var s3Moments = []moment{
	{"reading the lock", "GET lock", 1},
	{"taking the lock", "PUT lock", 1},
	{"uploading the agent's source", "PUT source", 1},
	{"downloading the agent's source", "GET source", 1},
	{"looking for the compiled agent", "HEAD agent", 1},
	{"looking for the tarball", "HEAD tarball", 1},
	{"uploading the compiled agent", "PUT agent", 1},
	{"uploading the tarball", "PUT tarball", 1},
	{"looking at the uploaded tarball", "HEAD tarball", 2},
	{"downloading the compiled agent", "GET agent", 1},
	{"downloading the tarball", "GET tarball", 1},
	{"reading the metadata", "GET metadata", 1},
	{"writing the metadata", "PUT metadata", 1},
	{"writing the results", "PUT results", 1},
	{"renewing the lock", "PUT lock", 2},
	{"releasing the lock", "PUT released lock", 1},
}

func momentsOf(all []moment, requests ...string) []moment {
	var found []moment
	for _, m := range all {
		if slices.Contains(requests, m.request) {
			found = append(found, m)
		}
	}
	return found
}

// requestOf names a request of a deploy, "" for those that faults leave alone.
func requestOf(service local.Service, r *http.Request) string {
	if service == local.S3 {
		return s3RequestOf(r)
	}
	path := strings.Split(strings.Trim(r.URL.Path, "/"), "/") // v1 apps APP machines ID exec
	switch {
	case len(path) == 4 && r.Method == http.MethodGet && (r.URL.RawQuery == "" || r.URL.RawQuery == "include_leases=true"):
		return "list"
	case len(path) == 4 && r.Method == http.MethodPost:
		if bytes.Contains(peek(r), []byte(`"skip_launch":true`)) {
			return "may create"
		}
		return "create"
	case len(path) == 5 && r.Method == http.MethodGet:
		return "get"
	case len(path) == 5 && r.Method == http.MethodDelete:
		return "destroy"
	case len(path) == 6 && path[5] == "exec":
		return execOf(r)
	}
	return ""
}

func s3RequestOf(r *http.Request) string {
	_, key, _ := strings.Cut(r.URL.Path, "/releases/")
	for _, object := range []struct{ mark, name string }{
		{"-deploy.lock", "lock"}, {".source", "source"}, {"-agent-", "agent"}, {".tar.gz", "tarball"}, {"-current.json", "metadata"}, {"-results/", "results"},
	} {
		switch {
		case !strings.Contains(key, object.mark):
		case object.name == "lock" && r.Method == http.MethodPut && releases(r):
			return "PUT released lock"
		default:
			return r.Method + " " + object.name
		}
	}
	return ""
}

func releases(r *http.Request) bool { return bytes.Contains(peek(r), []byte(`"released":true`)) }

// peek reads a request's body, and leaves it to be read.
func peek(r *http.Request) []byte {
	body, _ := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(body))
	return body
}

// execOf tells an exec by the script that it runs, which is engine/agent's.
func execOf(r *http.Request) string {
	var exec struct {
		Command []string `json:"command"`
	}
	if json.Unmarshal(peek(r), &exec) != nil || len(exec.Command) < 5 {
		return ""
	}
	script, args := exec.Command[2], exec.Command[4:]
	for _, s := range []struct{ mark, name string }{
		{"case \"$(value RELEASE_COMMAND)\"", "discover"}, {"for k in AWS_ACCESS_KEY_ID", "storage"}, {"/lib/fly_deploy-*", "storage config"},
		{"$job.started", "start " + argument(args, 1)}, {"$job.progress", "poll " + argument(args, 1)}, {`mkdir "$1/$2"`, argument(args, 1)},
		{"rpc \"$1", "inject"}, {"$1/command.started", "run command"}, {"$dir/command.exit", "follow command"},
	} {
		if strings.Contains(script, s.mark) {
			return "exec " + strings.TrimSpace(strings.Replace(s.name, "-", "wait", 1))
		}
	}
	return ""
}

func argument(args []string, n int) string {
	if n < len(args) {
		return args[n]
	}
	return ""
}

// clock counts the requests of one deploy, and lets effects meet them at their moments.
type clock struct {
	mu    sync.Mutex
	seen  map[string]int
	armed map[string]local.Effect // by request and number
	hit   map[string]bool
	// again: a request that a fault has met is sent once more, which is the same moment.
	again bool
	skip  map[string]bool
}

// watchMoments counts from now on. Effects are switched on by at.
func watchMoments(f *local.Fly) (c *clock, stop func()) {
	c = &clock{seen: map[string]int{}, armed: map[string]local.Effect{}, hit: map[string]bool{}, skip: map[string]bool{}}
	var off atomic.Bool
	for _, service := range []local.Service{local.API, local.S3} {
		f.Faults().Inject(local.Target{Service: service}, 0, func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if effect := c.meet(requestOf(service, r)); effect != nil && !off.Load() {
					effect(next).ServeHTTP(w, r)
					return
				}
				next.ServeHTTP(w, r)
			})
		})
	}
	return c, func() {
		off.Store(true)
		f.Faults().Lift()
	}
}

func key(request string, nth int) string { return fmt.Sprintf("%s %d", request, nth) }

func (c *clock) at(m moment, effect local.Effect) { c.armed[key(m.request, m.nth)] = effect }

// from lets an effect meet a request every time from its moment on.
func (c *clock) from(m moment, effect local.Effect) {
	for n := m.nth; n < m.nth+100; n++ {
		c.armed[key(m.request, n)] = effect
	}
}

func (c *clock) meet(request string) local.Effect {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.skip[request] {
		c.skip[request] = false
		return nil
	}
	c.seen[request]++
	k := key(request, c.seen[request])
	if c.armed[k] != nil {
		c.hit[k], c.skip[request] = true, c.again
	}
	return c.armed[k]
}

func (c *clock) wasHit(m moment) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.hit[key(m.request, m.nth)]
}
