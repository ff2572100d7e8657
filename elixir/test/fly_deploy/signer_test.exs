defmodule FlyDeploy.SignerTest do
  use ExUnit.Case, async: true

  alias FlyDeploy.Signer

  doctest Signer

  # The published examples of the Amazon S3 API reference, "Signature Calculations for the Authorization Header:
  # Transferring Payload in a Single Chunk".
  @s3 %{
    access_key_id: "AKIAIOSFODNN7EXAMPLE",
    secret_access_key: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    region: "us-east-1",
    service: "s3"
  }
  @host {"host", "examplebucket.s3.amazonaws.com"}
  @date {"x-amz-date", "20130524T000000Z"}
  @no_body "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

  test "S3's example of a GET" do
    headers = [@host, {"range", "bytes=0-9"}, {"x-amz-content-sha256", @no_body}, @date]

    assert Signer.authorization("GET", "/test.txt", headers, @no_body, @s3, ~U[2013-05-24 00:00:00Z]) ==
             "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, " <>
               "SignedHeaders=host;range;x-amz-content-sha256;x-amz-date, " <>
               "Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"
  end

  test "S3's example of a PUT, with a path to encode and headers out of order" do
    payload = "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072"

    headers = [
      @date,
      {"x-amz-storage-class", "REDUCED_REDUNDANCY"},
      {"x-amz-content-sha256", payload},
      @host,
      {"date", "Fri, 24 May 2013 00:00:00 GMT"}
    ]

    path = "/" <> Signer.encode("test$file.text")

    assert signature(Signer.authorization("PUT", path, headers, payload, @s3, ~U[2013-05-24 00:00:00Z])) ==
             "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"
  end

  # The published example of the same reference, "Authenticating Requests: Using Query Parameters".
  test "S3's example of a presigned GET" do
    query =
      Signer.query(
        "GET",
        "/test.txt",
        "examplebucket.s3.amazonaws.com",
        86_400,
        @s3,
        ~U[2013-05-24 00:00:00Z]
      )

    assert query ==
             "X-Amz-Algorithm=AWS4-HMAC-SHA256" <>
               "&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request" <>
               "&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host" <>
               "&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
  end

  # The Signature Version 4 test suite that AWS publishes; its key differs from S3's by a plus.
  @suite %{
    access_key_id: "AKIDEXAMPLE",
    secret_access_key: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
    region: "us-east-1",
    service: "service"
  }
  @suite_headers [{"host", "example.amazonaws.com"}, {"x-amz-date", "20150830T123600Z"}]

  for {name, method, path, more, expected} <- [
        {"get-vanilla", "GET", "", [], "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
        {"get-utf8", "GET", "ሴ", [], "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85"},
        {"get-unreserved", "GET", "-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz", [],
         "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f"},
        {"get-header-value-trim", "GET", "", [{"my-header1", " value1"}, {"my-header2", ~s( "a b c")}],
         "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736"},
        {"post-vanilla", "POST", "", [], "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"}
      ] do
    test "the test suite's #{name}" do
      path = "/" <> Signer.encode(unquote(path))
      headers = @suite_headers ++ unquote(more)

      assert signature(
               Signer.authorization(
                 unquote(method),
                 path,
                 headers,
                 @no_body,
                 @suite,
                 ~U[2015-08-30 12:36:00Z]
               )
             ) ==
               unquote(expected)
    end
  end

  defp signature(authorization), do: authorization |> String.split("Signature=") |> List.last()
end
