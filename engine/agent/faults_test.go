package agent

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// pack writes a gzipped tar of entries.
func packTar(t *testing.T, entries ...tar.Header) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	for _, h := range entries {
		body := []byte("evil")
		h.Mode = 0o644
		if h.Typeflag == tar.TypeReg {
			h.Size = int64(len(body))
		}
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if h.Typeflag == tar.TypeReg {
			if _, err := w.Write(body); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// editTar gives the tarball with every entry as edit makes it, and with what is left in added.
func editTar(t testing.TB, body []byte, edit func(*tar.Header, []byte) []byte, added ...map[string][]byte) []byte {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	zw, _ := gzip.NewWriterLevel(&b, gzip.BestSpeed)
	r, w := tar.NewReader(z), tar.NewWriter(zw)
	for {
		h, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		content = edit(h, content)
		h.Size = int64(len(content))
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(content); err != nil {
			t.Fatal(err)
		}
	}
	for _, files := range added {
		for name, content := range files {
			if err := w.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(content))}); err != nil {
				t.Fatal(err)
			}
			if _, err := w.Write(content); err != nil {
				t.Fatal(err)
			}
		}
	}
	_ = w.Close()
	_ = zw.Close()
	return b.Bytes()
}

// Every fault of a tarball ends the staging with a name, changes nothing, and shows no secret. One that is another, and one that is not
// there, are in the contract; what archives and servers can do otherwise is tested in elixir/test.
func TestFaultyTarballsAreRefused(t *testing.T) {
	t.Parallel()
	n := borrowNode(t)
	before := n.facts()
	good := tarballOf(t, 2).bytes

	for _, test := range []struct {
		name, error, what string
		order             func() Order
	}{
		{"truncated", "truncated", "instead of", func() Order {
			o := orderOf(t, good)
			o.TarballURL = serve(t, good[:len(good)-100])
			return o
		}},
		{"parent", "bad_tarball", "outside", func() Order {
			return orderOf(t, packTar(t, tar.Header{Typeflag: tar.TypeReg, Name: "lib/../../../escaped"}))
		}},
		{"no beam", "bad_beam", "Ledger.Money", func() Order {
			return orderOf(t, editTar(t, good, func(h *tar.Header, body []byte) []byte {
				if strings.HasSuffix(h.Name, "Ledger.Money.beam") {
					return []byte("garbage")
				}
				return body
			}))
		}},
	} {
		s, err := Inject(t.Context(), n.exec, n.vm, test.order())
		if err != nil {
			t.Fatalf("%s: %v", test.name, err)
		}
		status := n.await(s, Staged)
		if status.State != Failed || status.Error == nil || status.Error.Name != test.error || !strings.Contains(status.Error.What, test.what) {
			t.Errorf("%s: %s %+v", test.name, status.State, status.Error)
		} else if strings.Contains(status.Error.What, urlSecret) {
			t.Errorf("%s shows the URL's query: %s", test.name, status.Error.What)
		}
		if err := s.Finish(t.Context()); err != nil {
			t.Fatalf("%s: %v", test.name, err)
		}
	}
	same(t, before, n.facts(), everything...)
}

// What a hot upgrade cannot do is said before anything is suspended.
func TestPlatformAndDependenciesAreFindings(t *testing.T) {
	t.Parallel()
	n := borrowNode(t)
	platform := regexp.MustCompile(`/(stdlib|elixir)-[^/]+/`)
	body := editTar(t, tarballOf(t, 2).bytes, func(h *tar.Header, body []byte) []byte {
		h.Name = platform.ReplaceAllString(h.Name, "/$1-9.9/")
		h.Name = strings.ReplaceAll(h.Name, "/ledger-1.2.0/", "/other-1.0.0/")
		return body
	})
	s, staged := n.order(orderOf(t, body))
	defer n.abort(s, staged)
	want := []string{"dependency_added:block", "elixir_differs:refuse", "otp_differs:refuse"}
	got := strings.Join(names(staged.Findings), " ")
	for _, name := range want {
		if !strings.Contains(got, name) {
			t.Errorf("no %s among %s", name, got)
		}
	}
}

// Native code and sticky modules are refused by name, by the plan and by an agent that is ordered to arm all the same.
func TestNativeAndStickyModulesAreRefused(t *testing.T) {
	t.Parallel()
	n := borrowNode(t)
	before := n.facts()
	n.eval(`:code.stick_mod(Ledger.Prices)`)
	faults := []struct{ name, module, forms string }{
		{"native_code", "Ledger.Money", `[{:attribute, 1, :on_load, {:start, 0}}, {:function, 1, :start, 0, [{:clause, 1, [], [], [{:atom, 1, :ok}]}]}]`},
		{"native_code", "Ledger.Audit", `[{:attribute, 1, :export, [start: 0]}, {:function, 1, :start, 0, [{:clause, 1, [], [],
			[{:call, 1, {:remote, 1, {:atom, 1, :erlang}, {:atom, 1, :load_nif}}, [{:string, 1, [?x]}, {:integer, 1, 0}]}]}]}]`},
		{"sticky_module", "Ledger.Prices", ""},
	}
	beams := map[string][]byte{}
	for _, fault := range faults {
		if fault.forms == "" {
			continue
		}
		encoded := n.eval(`{:ok, _, beam} = :compile.forms([{:attribute, 1, :module, ` + fault.module + `} | ` + fault.forms + `]); IO.write(Base.encode64(beam))`)
		beam, err := base64.StdEncoding.DecodeString(encoded)
		if err != nil {
			t.Fatal(err)
		}
		beams["Elixir."+fault.module+".beam"] = beam
	}
	s, staged := n.order(orderOf(t, editTar(t, tarballOf(t, 2).bytes, func(h *tar.Header, body []byte) []byte {
		if beam, ok := beams[filepath.Base(h.Name)]; ok {
			return beam
		}
		return body
	})))
	for _, fault := range faults {
		if !slices.ContainsFunc(staged.Findings, func(f Finding) bool {
			return f.Name == fault.name && f.Severity == "refuse" && strings.Contains(f.Subject, fault.module) && strings.Contains(f.Detail, "cold deploy")
		}) {
			t.Errorf("%s: %v", fault.module, staged.Findings)
		}
	}
	if armed := n.arm(s, staged); armed.State != Failed || armed.Error == nil {
		t.Errorf("%s %v", armed.State, armed.Error)
	}
	if err := s.Finish(t.Context()); err != nil {
		t.Fatal(err)
	}
	same(t, before, n.facts(), everything...)
	n.eval(`:code.unstick_mod(Ledger.Prices)`)
}

func TestReadOnlyReleaseIsAFinding(t *testing.T) {
	t.Parallel()
	n := borrowNode(t)
	// Root may write anywhere: a folder that is a file stands in for one that cannot be written.
	static := filepath.Join(n.root, "lib", "ledger-1.1.0", "priv", "static")
	if err := os.Rename(static, static+".away"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(static, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s, staged := n.stage(2)
	if armed := n.arm(s, staged); armed.State != Failed || armed.Error == nil || armed.Error.Name != "not_writable" {
		t.Errorf("%s %+v", armed.State, armed.Error)
	}
	are(t, n.facts(), map[string]string{"account": "1", "suspended": "0"})
	if err := s.Finish(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Remove(static), os.Rename(static+".away", static)); err != nil {
		t.Error(err)
	}
}
