package deploy_test

import (
	"bytes"
	"compress/zlib"
	"context"
	"crypto/md5"
	"encoding/base64"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"flydeploy/engine"
	"flydeploy/engine/agent/agenttest"
)

// served is a fleet in memory behind HTTP, for consoles that are processes of their own: its Machines API, and an S3 that has what the
// console needs of one. Who has which key is not checked.
type served struct {
	*httptest.Server
	world *agenttest.World
	cloud *cloud

	mu      sync.Mutex
	written map[string]time.Time // objects of the bucket, when
}

const servedBucket = "counter-bucket"

func serve(t testing.TB, w *agenttest.World) *served {
	s := &served{world: w, cloud: newCloud(w), written: map[string]time.Time{}}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	w.SetStorageSettings(map[string]string{
		"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_ENDPOINT_URL_S3": s.URL, "AWS_REGION": "auto", "BUCKET_NAME": servedBucket,
	})
	return s
}

// ServeHTTP implements http.Handler.
func (s *served) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if key, found := strings.CutPrefix(r.URL.Path, "/"+servedBucket); found {
		s.object(w, r, strings.TrimPrefix(key, "/"))
		return
	}
	_, path, found := strings.Cut(r.URL.Path, "/"+agenttest.App+"/machines")
	id, action, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	switch {
	case !found:
		http.NotFound(w, r)
	case action == "exec":
		s.exec(w, r, id)
	case action == "" && (id != "" || r.Method != http.MethodGet):
		s.temporary(w, r, id)
	default:
		s.pass(w, r)
	}
}

// pass has the cloud answer, which keeps to Fly's limits and latencies.
func (s *served) pass(w http.ResponseWriter, r *http.Request) {
	resp, err := s.cloud.RoundTrip(r)
	if err != nil {
		return // the client has gone
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(resp.StatusCode)
	_, _ = io.Copy(w, resp.Body)
}

// exec passes an exec on, in which the bucket's addresses are the world's. On a temporary machine it takes what the world takes.
func (s *served) exec(w http.ResponseWriter, r *http.Request, id string) {
	var in struct {
		Command []string `json:"command"`
		Stdin   string   `json:"stdin"`
		Timeout int      `json:"timeout"`
	}
	if json.NewDecoder(r.Body).Decode(&in) != nil {
		http.Error(w, "no JSON", http.StatusBadRequest)
		return
	}
	in.Stdin = s.translate(r.Context(), in.Stdin)
	if !strings.HasPrefix(id, "temp") {
		body, _ := json.Marshal(in)
		r.Body = io.NopCloser(bytes.NewReader(body))
		s.pass(w, r)
		return
	}
	out, err := s.world.Fleet.Exec(r.Context(), id, in.Command, in.Stdin, time.Duration(in.Timeout)*time.Second)
	answer(w, map[string]any{"stdout": out.Stdout, "stderr": out.Stderr, "exit_code": out.ExitCode}, err)
}

// temporary makes, shows and destroys a temporary machine.
func (s *served) temporary(w http.ResponseWriter, r *http.Request, id string) {
	switch r.Method {
	case http.MethodPost:
		var in struct {
			Region string `json:"region"`
			Config struct {
				Image    string            `json:"image"`
				Metadata map[string]string `json:"metadata"`
			} `json:"config"`
		}
		if json.NewDecoder(r.Body).Decode(&in) != nil || in.Config.Image == "" {
			http.Error(w, "no image", http.StatusBadRequest) // so the console asks whether it may create one
			return
		}
		m, err := s.world.Fleet.CreateTemporary(r.Context(), engine.TemporaryMachine{Image: in.Config.Image, Temporary: engine.Temporary{Regions: []string{in.Region}},
			UpgradeID: in.Config.Metadata["flydeploy_upgrade"], UnderLock: in.Config.Metadata["flydeploy_under_lock"] != ""})
		answer(w, wired([]engine.Machine{m})[0], err)
	case http.MethodDelete:
		answer(w, map[string]bool{"ok": true}, s.world.Fleet.Destroy(r.Context(), id))
	default:
		all, err := s.world.Fleet.Machines(r.Context())
		i := slices.IndexFunc(all, func(m engine.Machine) bool { return m.ID == id })
		if err != nil || i < 0 {
			http.NotFound(w, r)
			return
		}
		answer(w, wired(all[i : i+1])[0], nil)
	}
}

func answer(w http.ResponseWriter, what any, err error) {
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(what)
}

// translate gives an order, or an upload's, with presigned URLs of the world's bucket.
func (s *served) translate(ctx context.Context, stdin string) string {
	packed, err := base64.StdEncoding.DecodeString(strings.TrimSpace(stdin))
	if err != nil || len(packed) == 0 {
		return stdin
	}
	text := packed
	z, err := zlib.NewReader(bytes.NewReader(packed))
	if err == nil {
		text, err = io.ReadAll(z)
	}
	zipped := err == nil
	form, err := url.ParseQuery(string(text))
	if err != nil || form.Get("url") == "" {
		return stdin
	}
	for _, name := range []string{"url", "agent_url", "report_url"} {
		key, found := strings.CutPrefix(form.Get(name), s.URL+"/"+servedBucket+"/")
		if key, _, _ = strings.Cut(key, "?"); found {
			form.Set(name, s.presigned(ctx, name, key, form.Has("-X-Amz-Meta-Sha256")))
		}
	}
	out := []byte(form.Encode())
	if zipped {
		var b bytes.Buffer
		z := zlib.NewWriter(&b)
		_, _ = z.Write(out)
		_ = z.Close()
		out = b.Bytes()
	}
	return base64.StdEncoding.EncodeToString(out) + "\n"
}

func (s *served) presigned(ctx context.Context, name, key string, put bool) (address string) {
	switch {
	case put:
		address, _, _ = s.world.Storage.PresignPut(ctx, key, -1, "", time.Hour)
	case name == "report_url":
		_, below, _ := strings.Cut(key, "-results/")
		upgrade, file, _ := strings.Cut(below, "/")
		address, _, _ = s.world.Storage.PresignResult(ctx, upgrade, file, time.Hour)
	default:
		address, _ = s.world.Storage.PresignGet(ctx, key, time.Hour)
	}
	return address
}

// object answers a request of the bucket.
func (s *served) object(w http.ResponseWriter, r *http.Request, key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if key == "" {
		s.list(w, r.URL.Query())
		return
	}
	body := s.world.Object(key)
	there, err := s.world.Storage.Stat(r.Context(), key)
	switch etag := etagOf(body); {
	case r.Method == http.MethodPut:
		if err == nil && r.Header.Get("If-None-Match") == "*" || r.Header.Get("If-Match") != "" && r.Header.Get("If-Match") != etag {
			fault(w, http.StatusPreconditionFailed, "PreconditionFailed")
			return
		}
		body, _ = io.ReadAll(r.Body)
		s.world.PutObject(key, body)
		s.written[key] = time.Now()
		w.Header().Set("ETag", etagOf(body))
	case err != nil:
		fault(w, http.StatusNotFound, "NoSuchKey")
	case r.Method == http.MethodDelete:
		_ = s.world.Storage.Delete(r.Context(), key)
		w.WriteHeader(http.StatusNoContent)
	default:
		w.Header().Set("ETag", etag)
		w.Header().Set("Last-Modified", s.written[key].UTC().Format(http.TimeFormat))
		w.Header().Set("X-Amz-Meta-Sha256", there.SHA256)
		w.Header().Set("Content-Length", strconv.FormatInt(there.Size, 10))
		_, _ = w.Write(body)
	}
}

func etagOf(body []byte) string { return fmt.Sprintf(`"%x"`, md5.Sum(body)) }

func fault(w http.ResponseWriter, status int, code string) {
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, "<Error><Code>%s</Code><Message>%s</Message></Error>", code, code)
}

// listed is a ListObjectsV2's answer.
type listed struct {
	XMLName  xml.Name `xml:"ListBucketResult"`
	KeyCount int
	Contents []listedObject
	Common   []string `xml:"CommonPrefixes>Prefix"`
}

type listedObject struct {
	Key, ETag    string
	LastModified time.Time
	Size         int
}

func (s *served) list(w http.ResponseWriter, q url.Values) {
	var all listed
	for _, key := range s.world.Objects(q.Get("prefix")) {
		below := strings.TrimPrefix(key, q.Get("prefix"))
		if end := strings.Index(below, "/"); q.Get("delimiter") != "" && end >= 0 {
			all.Common = append(all.Common, q.Get("prefix")+below[:end+1])
			continue
		}
		body := s.world.Object(key)
		all.Contents = append(all.Contents, listedObject{key, etagOf(body), s.written[key].UTC(), len(body)})
	}
	all.Common = slices.Compact(all.Common)
	all.KeyCount = len(all.Contents) + len(all.Common)
	w.Header().Set("Content-Type", "application/xml")
	_ = xml.NewEncoder(w).Encode(all)
}
