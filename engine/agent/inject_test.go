package agent

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"flydeploy/engine"
)

// anotherVersion gives the bundle of a flydeploy whose agent has another hash. It is compiled by renaming what is compiled already:
// the names are as long.
func (n *node) anotherVersion() bundle {
	n.t.Helper()
	other, err := newBundle("0123456789ab")
	if err != nil {
		n.t.Fatal(err)
	}
	b, err := agentBundle()
	if err != nil {
		n.t.Fatal(err)
	}
	made := compiledBy(n.t, b)
	made.file, err = base64.StdEncoding.DecodeString(n.eval(fmt.Sprintf(`
		rename = &:binary.replace(&1, %q, %q, [:global])
		rename_chunk = fn
		  ~c"LitT", <<0::32, plain::binary>> -> <<0::32, rename.(plain)::binary>>
		  ~c"LitT", <<size::32, packed::binary>> -> <<size::32, packed |> :zlib.uncompress() |> rename.() |> :zlib.compress()::binary>>
		  _, bytes -> rename.(bytes)
		end
		rename_module = &(&1 |> Atom.to_string() |> rename.() |> String.to_atom())
		{:flydeploy_agent, 1, agent, beams} = :erlang.binary_to_term(Base.decode64!(%q))
		beams = for {module, beam} <- beams do
		  {:ok, ^module, chunks} = :beam_lib.all_chunks(beam)
		  {:ok, renamed} = :beam_lib.build_module(for {id, bytes} <- chunks, do: {id, rename_chunk.(id, bytes)})
		  {rename_module.(module), renamed}
		end
		IO.puts(Base.encode64(:erlang.term_to_binary({:flydeploy_agent, 1, rename_module.(agent), beams})))`,
		b.Hash, other.Hash, base64.StdEncoding.EncodeToString(made.file))))
	if err != nil {
		n.t.Fatal(err)
	}
	sum := sha256.Sum256(made.file)
	made.SHA256, made.Size, made.Source = hex.EncodeToString(sum[:]), int64(len(made.file)), other.Hash
	compiled.Lock()
	defer compiled.Unlock()
	compiled.made[other.Hash] = made
	return other
}

// loadedOf counts the VM's modules of an agent.
func (n *node) loadedOf(agent string) (loaded int) {
	n.t.Helper()
	_, _ = fmt.Sscan(n.eval(`IO.puts(Enum.count(:code.all_loaded(), fn {m, _} -> "#{m}" =~ "`+agent+`" end))`), &loaded)
	return loaded
}

// counted serves an order's agent and counts the downloads; each waits until it may go on.
func counted(t *testing.T, o *Order, mayGoOn <-chan struct{}) *atomic.Int32 {
	t.Helper()
	b, err := agentBundle()
	if err != nil {
		t.Fatal(err)
	}
	file := compiledBy(t, b).file
	var downloads atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		downloads.Add(1)
		<-mayGoOn
		w.Header().Set("Content-Length", strconv.Itoa(len(file)))
		_, _ = w.Write(file)
	}))
	t.Cleanup(server.Close)
	o.AgentURL = server.URL + "/agent.beams?X-Amz-Signature=" + urlSecret
	return &downloads
}

// Whoever takes over has to learn that there is an agent before anything is downloaded, in the VM and in its own words.
func TestABusyVMDownloadsNothing(t *testing.T) {
	t.Parallel()
	n := borrowNode(t)
	n.unload()
	other := n.anotherVersion()
	left := orderOf(t, tarballOf(t, 2).bytes).by(t, other)
	if _, err := inject(t.Context(), n.exec, n.vm, left, other); err != nil {
		t.Fatal(err)
	}
	open := make(chan struct{})
	close(open)
	mine := orderOf(t, tarballOf(t, 2).bytes)
	downloads := counted(t, &mine, open)
	requests := 0
	exec := func(ctx context.Context, command []string, stdin string, timeout time.Duration) (engine.Output, error) {
		requests++
		return n.exec(ctx, command, stdin, timeout)
	}
	_, err := Inject(t.Context(), exec, n.vm, mine)
	var busy *BusyError
	if !errors.As(err, &busy) || busy.ID != left.ID || busy.Owner != left.Owner {
		t.Fatalf("beside another version's agent: %v", err)
	}
	if loaded := n.loadedOf("FlyDeployAgent_" + mine.Agent.Source); loaded > 0 || requests != 1 || downloads.Load() > 0 {
		t.Errorf("%d downloads and %d modules in %d requests", downloads.Load(), loaded, requests)
	}

	if state, err := busy.TakeOver(t.Context(), n.exec, n.vm); err != nil || state != Aborted {
		t.Fatalf("taking over: %s %v", state, err)
	}
	n.awaitGone()
	n.unload()
	requests = 0
	var s *Session
	for range 2 {
		if s, err = Inject(t.Context(), exec, n.vm, mine); err != nil {
			t.Fatal(err)
		}
	}
	if requests != 2 || downloads.Load() != 1 {
		t.Errorf("the same order twice: %d requests, %d downloads", requests, downloads.Load())
	}
	n.abort(s, n.await(s, Staged))
}

// The platform ends an exec after a minute, and with it the VM of `bin/NAME rpc`, but not what this has begun in the running VM.
func TestAnInjectionThatIsCutOffGoesOn(t *testing.T) {
	t.Parallel()
	n := borrowNode(t)
	n.unload()
	mayGoOn := make(chan struct{})
	o := orderOf(t, tarballOf(t, 2).bytes)
	downloads := counted(t, &o, mayGoOn)

	ctx, cut := context.WithCancel(t.Context())
	defer cut()
	ended := make(chan error, 1)
	go func() {
		_, err := Inject(ctx, n.realExec, n.vm, o)
		ended <- err
	}()
	for downloads.Load() == 0 {
		time.Sleep(time.Millisecond)
	}
	cut()
	if err := <-ended; !errors.Is(err, engine.ErrUnknownOutcome) {
		t.Fatalf("cut off: %v", err)
	}
	close(mayGoOn)
	s, staged := n.order(o)
	if staged.State != Staged || downloads.Load() != 1 {
		t.Errorf("the same order again: %s %v after %d downloads", staged.State, staged.Error, downloads.Load())
	}
	n.abort(s, staged)
}

// serveTLS serves body on localhost with a certificate for name. It gives the URL, and the certificate of who has signed it.
func serveTLS(t *testing.T, name string, body []byte) (url, authority string) {
	t.Helper()
	sign := func(template, parent *x509.Certificate, key any, public any) *x509.Certificate {
		template.SerialNumber, template.NotBefore, template.NotAfter = big.NewInt(1), time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
		der, err := x509.CreateCertificate(rand.Reader, template, parent, public, key)
		if err != nil {
			t.Fatal(err)
		}
		signed, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		return signed
	}
	newKey := func() *ecdsa.PrivateKey {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	rootKey, key := newKey(), newKey()
	root := &x509.Certificate{Subject: pkix.Name{CommonName: "root"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	root = sign(root, root, rootKey, rootKey.Public())
	leaf := sign(&x509.Certificate{Subject: pkix.Name{CommonName: name}, DNSNames: []string{name}}, root, rootKey, key.Public())

	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		_, _ = w.Write(body)
	}))
	server.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{leaf.Raw}, PrivateKey: key}}}
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	return strings.Replace(server.URL, "127.0.0.1", "localhost", 1) + "/x?X-Amz-Signature=" + urlSecret,
		string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: root.Raw}))
}

// Whatever is wrong with the compiled agent: none of it is loaded, the fault has a name, and no secret is shown.
func TestFaultyAgentsAreNotLoaded(t *testing.T) {
	t.Parallel()
	n := borrowNode(t)
	n.unload()
	b, err := agentBundle()
	if err != nil {
		t.Fatal(err)
	}
	file := compiledBy(t, b).file
	altered := bytes.Clone(file)
	altered[len(altered)/2] ^= 1
	encoded := n.eval(`{:flydeploy_agent, 1, agent, beams} = :erlang.binary_to_term(Base.decode64!("` + base64.StdEncoding.EncodeToString(file) + `"))
		last = List.last(beams)
		IO.puts(Base.encode64(:erlang.term_to_binary({:flydeploy_agent, 1, agent, (beams -- [last]) ++ [{elem(last, 0), "no beam"}]})))`)
	damaged, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		t.Fatal(err)
	}
	forbidden := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusForbidden) }))
	defer forbidden.Close()
	local, authority := serveTLS(t, "localhost", file)
	elsewhere, itsAuthority := serveTLS(t, "elsewhere.test", file)
	_, stranger := serveTLS(t, "localhost", file)

	for _, test := range []struct {
		name, what string
		change     func(*Order)
	}{
		{"sha256_differs", "sha256", func(o *Order) { o.AgentURL = serve(t, altered) }},
		{"download_failed", "closed", func(o *Order) { o.AgentURL = serve(t, file[:len(file)-100]) }},
		{"download_failed", "answered 403", func(o *Order) { o.AgentURL = forbidden.URL + "/x?sig=" + urlSecret }},
		{"download_failed", "econnrefused", func(o *Order) { o.AgentURL = "http://127.0.0.1:1/x?sig=" + urlSecret }},
		{"download_failed", "unknown_ca", func(o *Order) { o.AgentURL, o.CACerts = local, stranger }},
		{"download_failed", "TLS with localhost failed", func(o *Order) { o.AgentURL, o.CACerts = elsewhere, itsAuthority }},
		{"otp_differs", "the new image has 99", func(o *Order) { o.Agent.OTP = "99" }},
		{"elixir_differs", "the new image has 99.0.0", func(o *Order) { o.Agent.Elixir = "99.0.0" }},
		{"not_loadable", "badfile", func(o *Order) {
			sum := sha256.Sum256(damaged)
			o.AgentURL, o.Agent.SHA256, o.Agent.Size = serve(t, damaged), hex.EncodeToString(sum[:]), int64(len(damaged))
		}},
	} {
		o := orderOf(t, tarballOf(t, 2).bytes)
		test.change(&o)
		_, err := Inject(t.Context(), n.exec, n.vm, o)
		var refused *Refusal
		if !errors.As(err, &refused) || refused.Name != test.name || !strings.Contains(refused.What, test.what) || strings.Contains(err.Error(), urlSecret) {
			t.Errorf("%s, %s: %v", test.name, test.what, err)
		}
		if loaded := n.loadedOf("FlyDeployAgent"); loaded > 0 {
			t.Errorf("%s: %d modules were loaded", test.name, loaded)
		}
	}
	// A machine whose storage has certificates of its own names them itself.
	o := orderOf(t, tarballOf(t, 2).bytes)
	o.AgentURL = local
	bundle := filepath.Join(t.TempDir(), "ca.pem")
	n.eval(`System.put_env("AWS_CA_BUNDLE", "` + bundle + `")`)
	t.Cleanup(func() { n.eval(`System.delete_env("AWS_CA_BUNDLE")`) })
	var refused *Refusal
	if _, err := Inject(t.Context(), n.exec, n.vm, o); !errors.As(err, &refused) || refused.Name != "no_certificates" {
		t.Errorf("without the file: %v", err)
	}
	if err := os.WriteFile(bundle, []byte(authority), 0o644); err != nil {
		t.Fatal(err)
	}
	s, staged := n.order(o)
	if staged.State != Staged {
		t.Errorf("over TLS: %s %v", staged.State, staged.Error)
	}
	n.abort(s, staged)
}
