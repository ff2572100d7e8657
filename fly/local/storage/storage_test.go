package storage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"

	"flydeploy/fly/local/fault"
)

// serve serves a store with the bucket sample-releases until the test ends.
func serve(t *testing.T) (Info, *fault.Faults) {
	t.Helper()
	server := httptest.NewUnstartedServer(nil)
	store, err := New(t.Context(), "http://"+server.Listener.Addr().String(), "sample-releases")
	if err != nil {
		t.Fatal(err)
	}
	faults := &fault.Faults{}
	server.Config.Handler = store.Handler(faults)
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // a fault that cuts a connection is no news
	server.Start()
	t.Cleanup(server.Close)
	return store.Info(), faults
}

func s3Client(info Info) *s3.Client {
	return s3.New(s3.Options{
		BaseEndpoint: aws.String(info.Endpoint), Region: info.Region, UsePathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider(info.AccessKeyID, info.SecretAccessKey, ""),
		Retryer:     aws.NopRetryer{},
	})
}

func putObject(ctx context.Context, c *s3.Client, info Info, key, body string, change func(*s3.PutObjectInput)) (etag string, err error) {
	input := &s3.PutObjectInput{Bucket: &info.Bucket, Key: &key, Body: strings.NewReader(body)}
	if change != nil {
		change(input)
	}
	output, err := c.PutObject(ctx, input)
	if err != nil {
		return "", err
	}
	return aws.ToString(output.ETag), nil
}

func getObject(t *testing.T, c *s3.Client, info Info, key string) string {
	t.Helper()
	output, err := c.GetObject(t.Context(), &s3.GetObjectInput{Bucket: &info.Bucket, Key: &key})
	if err != nil {
		t.Fatal(err)
	}
	defer output.Body.Close()
	body, err := io.ReadAll(output.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

func errorCode(err error) string {
	var answer smithy.APIError
	if errors.As(err, &answer) {
		return answer.ErrorCode()
	}
	return ""
}

func TestS3PutAndGet(t *testing.T) {
	info, _ := serve(t)
	c := s3Client(info)
	if _, err := putObject(t.Context(), c, info, "releases/a.json", "one", nil); err != nil {
		t.Fatal(err)
	}
	if got := getObject(t, c, info, "releases/a.json"); got != "one" {
		t.Errorf("got %q", got)
	}
	list, err := c.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: &info.Bucket, Prefix: aws.String("releases/")})
	if err != nil || len(list.Contents) != 1 || *list.Contents[0].Key != "releases/a.json" {
		t.Errorf("list: %+v, %v", list, err)
	}
	_, err = c.GetObject(t.Context(), &s3.GetObjectInput{Bucket: &info.Bucket, Key: aws.String("none")})
	if errorCode(err) != "NoSuchKey" {
		t.Errorf("get of nothing: %v", err)
	}
	if info.Bucket != "sample-releases" || info.Region != "auto" {
		t.Errorf("info: bucket %s, region %s", info.Bucket, info.Region)
	}
}

func TestS3Signatures(t *testing.T) {
	info, _ := serve(t)
	for name, change := range map[string]func(*Info){
		"another secret": func(i *Info) { i.SecretAccessKey += "x" },
		"another key":    func(i *Info) { i.AccessKeyID = "tid_unknown" },
	} {
		wrong := info
		change(&wrong)
		_, err := putObject(t.Context(), s3Client(wrong), info, "a", "b", nil)
		if code := errorCode(err); code != "SignatureDoesNotMatch" && code != "InvalidAccessKeyId" {
			t.Errorf("put with %s: %v", name, err)
		}
	}
	response, body := do(t, http.MethodGet, info.Endpoint+"/"+info.Bucket+"/a", "")
	if response.StatusCode != http.StatusForbidden {
		t.Errorf("unsigned: %d %s", response.StatusCode, body)
	}
}

// The body of a signed request is the one that was signed.
func TestS3SignedBody(t *testing.T) {
	info, _ := serve(t)
	c := s3.New(s3.Options{
		BaseEndpoint: &info.Endpoint, Region: info.Region, UsePathStyle: true, Retryer: aws.NopRetryer{},
		Credentials: credentials.NewStaticCredentialsProvider(info.AccessKeyID, info.SecretAccessKey, ""),
		HTTPClient:  &http.Client{Transport: alteringTransport{}},
	})
	if _, err := putObject(t.Context(), c, info, "a", "as signed", nil); errorCode(err) != "XAmzContentSHA256Mismatch" {
		t.Errorf("an altered body: %v", err)
	}
}

// alteringTransport changes a body's last byte on its way.
type alteringTransport struct{}

func (alteringTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	body[len(body)-1] ^= 1
	r.Body = io.NopCloser(bytes.NewReader(body))
	return http.DefaultTransport.RoundTrip(r)
}

func TestS3PresignedURLs(t *testing.T) {
	info, _ := serve(t)
	presign := func(info Info, expires time.Duration) string {
		t.Helper()
		request, err := s3.NewPresignClient(s3Client(info)).PresignPutObject(t.Context(),
			&s3.PutObjectInput{Bucket: &info.Bucket, Key: aws.String("a")}, s3.WithPresignExpires(expires))
		if err != nil {
			t.Fatal(err)
		}
		return request.URL
	}
	put := func(url string, want int) {
		t.Helper()
		if response, body := do(t, http.MethodPut, url, "content"); response.StatusCode != want {
			t.Errorf("put: %d %s, want %d", response.StatusCode, body, want)
		}
	}
	good := presign(info, time.Minute)
	put(good, http.StatusOK)
	if got := getObject(t, s3Client(info), info, "a"); got != "content" {
		t.Errorf("got %q", got)
	}
	put(strings.Replace(good, "/a?", "/b?", 1), http.StatusForbidden)
	if response, _ := do(t, http.MethodGet, good, ""); response.StatusCode != http.StatusForbidden {
		t.Errorf("a PUT's URL used for a GET: %d", response.StatusCode)
	}
	wrong := info
	wrong.SecretAccessKey += "x"
	put(presign(wrong, time.Minute), http.StatusForbidden)
	short := presign(info, time.Second)
	patience := time.After(time.Minute)
	for response, body := do(t, http.MethodPut, short, "late"); response.StatusCode != http.StatusForbidden; {
		select {
		case <-time.After(10 * time.Millisecond):
			response, body = do(t, http.MethodPut, short, "late")
		case <-patience:
			t.Fatalf("the URL has not expired: %d %s", response.StatusCode, body)
		}
	}
}

// Of many writers that race one wins, whatever the condition.
func TestS3ConditionalWrites(t *testing.T) {
	info, _ := serve(t)
	c := s3Client(info)
	// The content differs from that of the race before: an ETag is a digest of the content.
	race := func(t *testing.T, key, content string, condition func(*s3.PutObjectInput)) (etag string) {
		t.Helper()
		var winners atomic.Int32
		var writers sync.WaitGroup
		var won sync.Map
		for i := range 12 {
			writers.Go(func() {
				got, err := putObject(t.Context(), c, info, key, fmt.Sprint(content, i), condition)
				switch {
				case err == nil:
					winners.Add(1)
					won.Store("etag", got)
				case errorCode(err) != "PreconditionFailed":
					t.Error(err)
				}
			})
		}
		writers.Wait()
		if winners.Load() != 1 {
			t.Fatalf("%s, %s: %d winners", key, content, winners.Load())
		}
		got, _ := won.Load("etag")
		return got.(string)
	}
	for round := range 20 {
		key := fmt.Sprint("lock-", round)
		etag := race(t, key, "new by ", func(in *s3.PutObjectInput) { in.IfNoneMatch = aws.String("*") })
		race(t, key, "renewed by ", func(in *s3.PutObjectInput) { in.IfMatch = &etag })
	}
}

func do(t *testing.T, method, url, body string) (*http.Response, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, string(text)
}
