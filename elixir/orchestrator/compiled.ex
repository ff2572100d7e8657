defmodule FlyDeployOrchestrator.Compiled do
  @moduledoc """
  The compiled agent, as machines load it.

  The file is Erlang's external term format, compressed, of

      {:flydeploy_agent, 1, agent, [{module, beam}]}

  1 is the format's version. `agent` is the main module; its name ends with the first 12 hex digits of the sha256 of the
  source, and every other module's begins with it. The modules call only each other, OTP and Elixir, and are for the OTP
  and the Elixir that compiled them. They are loaded all or none (`:code.atomic_load/1`), after the file's sha256 was
  compared with one that does not come from where the file comes from. `agent.start(order, sweep)` then begins.
  """

  @doc "Writes those of the compiled modules that are the agent's to `path`. Gives what the console wants to know of them."
  @spec write([{module, binary}], module, Path.t()) :: map
  def write(compiled, agent, path) do
    name = Atom.to_string(agent)

    ours =
      for {module, beam} <- compiled, String.starts_with?(Atom.to_string(module), name), do: {module, beam}

    # What only debuggers need is left out.
    {:ok, stripped} = :beam_lib.strip_files(for {_module, beam} <- ours, do: beam)
    plain = for {module, beam} <- stripped, do: {module, inflated(beam)}
    file = :erlang.term_to_binary({:flydeploy_agent, 1, agent, Enum.sort(plain)}, compressed: 9)
    File.write!(path, file)

    %{
      sha256: :sha256 |> :crypto.hash(file) |> Base.encode16(case: :lower),
      size: byte_size(file),
      otp: System.otp_release(),
      elixir: System.version()
    }
  end

  # As one they compress better, and are inflated once.
  defp inflated(<<0x1F, 0x8B, _::binary>> = beam), do: :zlib.gunzip(beam)
  defp inflated(beam), do: beam
end
