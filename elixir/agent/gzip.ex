defmodule FlyDeployAgent.Gzip do
  @moduledoc """
  Reads a gzipped file from its beginning, in pieces. What is wrong with it ends the reading by a throw, `{:refused, text}`.

  Most of the time goes into inflating: a process of its own does it, on another core where there is one, two pieces ahead.
  """

  @max_bytes 2 * 1024 * 1024 * 1024
  # Read at once. At its worst it inflates to a thousand times as much.
  @piece 64 * 1024
  # The window of zlib, and that the data has gzip's header.
  @gzip 15 + 16

  @type t :: %{pieces: {pid, reference}, buffer: binary, bytes: non_neg_integer}

  @doc "Begins to read the file at `path`. Ends with `close/1`, or with the caller."
  @spec open(Path.t()) :: t
  def open(path) do
    {caller, ref} = {self(), make_ref()}

    pid =
      spawn_link(fn ->
        try do
          inflate_file(path, &hand_over(caller, ref, &1))
        catch
          {:refused, _} = refused -> send(caller, {ref, refused})
        end
      end)

    for _ <- 1..2, do: send(pid, {ref, :next})
    %{pieces: {pid, ref}, buffer: "", bytes: 0}
  end

  @doc "Ends the reading, wherever it is."
  @spec close(t) :: :ok
  def close(%{pieces: {pid, ref}}) do
    Process.unlink(pid)
    monitor = Process.monitor(pid)
    Process.exit(pid, :kill)

    receive do
      {:DOWN, ^monitor, :process, _, _} -> forget(ref)
    end
  end

  defp forget(ref) do
    receive do
      {^ref, _} -> forget(ref)
    after
      0 -> :ok
    end
  end

  @doc "The next `size` bytes."
  @spec take(t, non_neg_integer) :: {binary, t}
  def take(%{buffer: buffer} = file, size) when byte_size(buffer) >= size do
    {data, rest} = :erlang.split_binary(buffer, size)
    {data, %{file | buffer: rest}}
  end

  def take(file, size), do: file |> more() |> take(size)

  @doc "Goes past them: they are never held together."
  @spec skip(t, non_neg_integer) :: t
  def skip(%{buffer: buffer} = file, size) when byte_size(buffer) >= size do
    {_, rest} = :erlang.split_binary(buffer, size)
    %{file | buffer: rest}
  end

  def skip(%{buffer: buffer} = file, size),
    do: %{file | buffer: ""} |> more() |> skip(size - byte_size(buffer))

  defp more(%{pieces: {pid, ref}, buffer: buffer, bytes: bytes} = file) do
    receive do
      {^ref, inflated} when is_binary(inflated) ->
        send(pid, {ref, :next})
        bytes = bytes + byte_size(inflated)
        if bytes > @max_bytes, do: refuse("is larger than any release")
        %{file | buffer: buffer <> inflated, bytes: bytes}

      {^ref, {:refused, text}} ->
        refuse(text)
    end
  end

  # -- in the process that inflates

  defp hand_over(caller, ref, inflated) do
    receive do
      {^ref, :next} -> send(caller, {ref, inflated})
    end
  end

  defp inflate_file(path, fun) do
    file = open_file(path)
    stream = :zlib.open()
    :ok = :zlib.inflateInit(stream, @gzip, :reset)
    inflate_pieces(file, stream, fun)
  end

  defp inflate_pieces(file, stream, fun) do
    case :file.read(file, @piece) do
      {:ok, data} ->
        stream |> inflate(data) |> fun.()
        inflate_pieces(file, stream, fun)

      :eof ->
        refuse("cannot be read: it ends too early")

      {:error, reason} ->
        refuse("cannot be read: #{:file.format_error(reason)}")
    end
  end

  defp open_file(path) do
    case :file.open(path, [:read, :raw, :binary]) do
      {:ok, file} -> file
      {:error, reason} -> refuse("cannot be read: #{:file.format_error(reason)}")
    end
  end

  defp inflate(stream, data) do
    stream |> :zlib.inflate(data) |> IO.iodata_to_binary()
  catch
    :error, _ -> refuse("cannot be inflated: it is not gzip, or is damaged")
  end

  @doc "Ends whatever reads the file, with what is wrong with it."
  @spec refuse(binary) :: no_return
  def refuse(text), do: throw({:refused, text})
end
