// Package s3 keeps the tarballs, current.json, the deploy lock and the records of deploys in a bucket.
//
// Whatever two consoles could write at the same time is written conditionally (If-None-Match, If-Match). After a PUT whose
// answer was lost, the object is read back to find out whether it was written. Any S3 with conditional PUTs will do; Tigris
// is the default, and every request asks it for a consistent answer.
package s3

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go/logging"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"flydeploy/engine"
)

// What `fly storage create` sets up: the defaults.
const (
	DefaultEndpoint = "https://fly.storage.tigris.dev"
	DefaultRegion   = "auto"
)

// consistentHeader makes Tigris answer from the leader. Without it, buckets are only eventually consistent across regions.
// Source: Tigris' documentation, "Conditional Operations".
const consistentHeader = "X-Tigris-Consistent"

const (
	attemptTimeout   = 20 * time.Second // one request, including its body
	operationTimeout = 60 * time.Second // all attempts of one operation together
	maxAttempts      = 4
	maxBackoff       = time.Second
	maxDocument      = 4 << 20  // bytes; current.json and the lock are refused if they are larger
	maxResult        = 64 << 20 // bytes; one file of a deploy's record: in older ones the plan for 1,000 machines is one line of about 5 MB
)

// Config says where the bucket is and how to open it: with AccessKeyID and SecretAccessKey, or with Profile.
type Config struct {
	Endpoint        string // "" stands for the profile's, or else DefaultEndpoint
	Region          string // "" stands for the profile's, or else DefaultRegion
	Bucket          string
	AccessKeyID     string
	SecretAccessKey string
	SessionToken    string
	Role            string            // AWS_ROLE_ARN, which is not taken on: where there are no keys, the error says what to do
	Profile         string            // a profile in ~/.aws, instead of the keys
	App             string            // the OTP application: part of every object's key
	Host            string            // the name of this computer, written into the lock
	CABundle        string            // a file of certificates (PEM) to trust in place of the system's; "" for none
	Transport       http.RoundTripper // nil stands for a copy of http.DefaultTransport
}

// Bucket implements engine.Locks, engine.Records and engine.Tarballs. It is safe for concurrent use.
type Bucket struct {
	client    *s3.Client
	presigner *s3.PresignClient
	// plainPresigner signs URLs that work without any header.
	plainPresigner *s3.PresignClient
	clock          *clock
	transport      http.RoundTripper // to the storage, for requests with time limits of their own
	endpoint       *url.URL
	bucket         string
	app            string
	host           string
	lockVersion    versionAge
	conditional    atomic.Bool // the storage has been seen to honour conditional writes
}

var (
	_ engine.Locks    = (*Bucket)(nil)
	_ engine.Records  = (*Bucket)(nil)
	_ engine.Tarballs = (*Bucket)(nil)
)

// Open checks the configuration and prepares a client. It does not send anything.
func Open(ctx context.Context, c Config) (*Bucket, error) {
	if err := checkNames(c); err != nil {
		return nil, err
	}
	conf, err := awsConfig(ctx, c)
	if err != nil {
		return nil, err
	}
	transport, err := transportOf(c)
	if err != nil {
		return nil, err
	}
	b := &Bucket{clock: newClock(transport), bucket: c.Bucket, app: c.App, host: c.Host}
	at := &addressing{next: b.clock, bucket: c.Bucket}
	b.transport = at
	plain := s3.NewFromConfig(conf, func(o *s3.Options) {
		o.BaseEndpoint = aws.String(cmp.Or(c.Endpoint, aws.ToString(o.BaseEndpoint), DefaultEndpoint))
		o.EndpointResolverV2 = at
		o.HTTPClient = &http.Client{Transport: at, Timeout: attemptTimeout}
		o.Retryer = retryer(at)
		// Tigris refuses the aws-chunked trailers that the SDK would otherwise send over TLS.
		o.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired
		o.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenRequired
		o.Logger = logging.Nop{}
	})
	if b.endpoint, err = parseEndpoint(aws.ToString(plain.Options().BaseEndpoint)); err != nil {
		return nil, err
	}
	at.settle(b.endpoint)
	// Set in the build step, so that the header is signed.
	b.client = s3.New(plain.Options(), s3.WithAPIOptions(smithyhttp.SetHeaderValue(consistentHeader, "true")))
	bucketTime := func(o *s3.PresignOptions) { o.Presigner = newPresigner(b.clock) }
	b.presigner = s3.NewPresignClient(b.client, bucketTime)
	b.plainPresigner = s3.NewPresignClient(plain, bucketTime)
	return b, nil
}

func awsConfig(ctx context.Context, c Config) (aws.Config, error) {
	var conf aws.Config
	switch {
	case c.Profile != "":
		var err error
		if conf, err = config.LoadDefaultConfig(ctx, config.WithSharedConfigProfile(c.Profile)); err != nil {
			return conf, engine.NewProblem("storage_keys", "read the AWS profile "+c.Profile, err,
				"Check ~/.aws/config and ~/.aws/credentials, or provide the keys in another way.")
		}
	case c.AccessKeyID != "" && c.SecretAccessKey != "":
		conf.Credentials = credentials.NewStaticCredentialsProvider(c.AccessKeyID, c.SecretAccessKey, c.SessionToken)
	default:
		remedy := remedyKeys
		if c.Role != "" {
			remedy = remedyRole
		}
		return conf, engine.NewProblem("storage_keys", "there are no keys for the bucket "+c.Bucket, nil, remedy)
	}
	conf.Region = cmp.Or(c.Region, conf.Region, DefaultRegion)
	return conf, nil
}

// transportOf is the way to the storage, nil for the default one.
func transportOf(c Config) (http.RoundTripper, error) {
	if c.CABundle == "" || c.Transport != nil {
		return c.Transport, nil
	}
	pem, err := os.ReadFile(c.CABundle)
	pool := x509.NewCertPool()
	if err == nil && !pool.AppendCertsFromPEM(pem) {
		err = errors.New("there is no certificate in it")
	}
	if err != nil {
		return nil, engine.NewProblem("storage_certificates", "read the certificates of AWS_CA_BUNDLE, "+c.CABundle, err,
			"Set AWS_CA_BUNDLE to a file of certificates (PEM), or remove it.")
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	return transport, nil
}

func parseEndpoint(endpoint string) (*url.URL, error) {
	u, err := url.Parse(endpoint)
	// A parse error would quote the address, which may contain a password.
	if err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") || u.User != nil || u.RawQuery != "" {
		return nil, engine.NewProblem("storage_endpoint", "the storage's endpoint is not a URL like "+DefaultEndpoint,
			nil, "Set AWS_ENDPOINT_URL_S3 to the URL that `fly storage create` printed.")
	}
	return &url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}, nil
}

// retryer repeats what S3 asks clients to repeat, and also 408 and 409 (another conditional write was under way). A 412 is
// an answer, not a failure. Source: the S3 user guide, "How to prevent object overwrites with conditional writes".
func retryer(at *addressing) aws.Retryer {
	return retry.NewStandard(func(o *retry.StandardOptions) {
		o.MaxAttempts = maxAttempts
		o.MaxBackoff = maxBackoff
		o.Retryables = append(o.Retryables, at, retry.RetryableHTTPStatusCode{Codes: map[int]struct{}{
			http.StatusRequestTimeout: {}, http.StatusConflict: {},
		}})
	})
}

// object is an object that was read whole.
type object struct {
	body []byte
	etag string
	age  time.Duration // since it was last written, by the bucket's clock alone; 0 if the answer does not tell
}

// get reads a whole object of at most limit bytes. If the answer breaks off, it asks again.
func (b *Bucket) get(ctx context.Context, op, key string, limit int64) (object, error) {
	bounded, cancel := context.WithTimeout(ctx, operationTimeout)
	defer cancel()
	var err error
	for range maxAttempts {
		var out *s3.GetObjectOutput
		out, err = b.client.GetObject(bounded, &s3.GetObjectInput{Bucket: &b.bucket, Key: &key})
		if err != nil {
			return object{}, b.explain(ctx, op, key, err)
		}
		var body []byte
		body, err = io.ReadAll(io.LimitReader(out.Body, limit+1))
		_ = out.Body.Close()
		if int64(len(body)) > limit {
			return object{}, b.tooLarge(op, key, limit)
		}
		if err == nil {
			return object{body: body, etag: aws.ToString(out.ETag), age: age(out)}, nil
		}
		if bounded.Err() != nil {
			break
		}
	}
	return object{}, b.explain(ctx, op, key, err)
}

// age is the time from an object's last write to the answer that contains it, both by the bucket's clock.
func age(out *s3.GetObjectOutput) time.Duration {
	now, ok := awsmiddleware.GetServerTime(out.ResultMetadata)
	if !ok || out.LastModified == nil {
		return 0
	}
	return max(now.Sub(*out.LastModified), 0)
}

// condition is that of a PUT. The zero value is no condition.
type condition struct {
	ifMatch string // the object must have this ETag
	create  bool   // there must be no object
}

// ifUnchanged is the condition for replacing the version etag; "" stands for no object.
func ifUnchanged(etag string) condition { return condition{ifMatch: etag, create: etag == ""} }

// put writes an object. The error is engine.ErrConflict if the condition does not hold.
func (b *Bucket) put(ctx context.Context, op, key, contentType string, body []byte, c condition) (etag string, err error) {
	bounded, cancel := context.WithTimeout(ctx, operationTimeout)
	defer cancel()
	in := &s3.PutObjectInput{Bucket: &b.bucket, Key: &key, ContentType: &contentType, Body: newBody(body)}
	if c.create {
		in.IfNoneMatch = aws.String("*")
	}
	if c.ifMatch != "" {
		in.IfMatch = &c.ifMatch
	}
	out, err := b.client.PutObject(bounded, in)
	if err == nil {
		return aws.ToString(out.ETag), nil
	}
	err = b.explain(ctx, op, key, err)
	if c.ifMatch != "" && isNotFound(err) {
		err = fmt.Errorf("%s: %w", op, engine.ErrConflict) // the version to be replaced no longer exists
	}
	return "", err
}
