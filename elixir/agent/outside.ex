defmodule FlyDeployAgent.Outside do
  @moduledoc """
  Whether code acts on anything but what it is given: what opens connections, writes files or runs programs is not tried on a copy, as it
  would do that before anything is committed. Read from the code of the functions that are reached, in libraries too; what is
  called by a name that is only known when it runs is not seen.
  """

  alias FlyDeployAgent.{CodeFacts, Release}

  # Whole modules, and functions of others.
  @modules [
    :gen_tcp,
    :gen_udp,
    :gen_sctp,
    :socket,
    :ssl,
    :httpc,
    :ftp,
    :ssh,
    :ssh_sftp,
    :inet_res,
    :dets,
    :disk_log,
    :mnesia,
    :prim_file,
    :"Elixir.Req",
    :"Elixir.Finch",
    :"Elixir.Mint.HTTP",
    :"Elixir.HTTPoison",
    :"Elixir.Tesla",
    :hackney,
    :"Elixir.File.Stream"
  ]
  @functions %{
    :os => [:cmd, :putenv, :unsetenv],
    :erlang => [:open_port, :load_nif],
    Port => [:open],
    System => [:cmd, :shell, :put_env, :delete_env],
    :ets => [:tab2file],
    :zip => [:zip, :create, :unzip, :extract],
    :erl_tar => [:create, :extract, :open]
  }
  # Of the modules for files, what only looks.
  @files [File, :file, :filelib]
  @looks ~w(read read! read_file read_file_info read_link read_link! read_link_info exists? dir? regular? stat stat!
    lstat lstat! ls ls! list_dir cwd cwd! get_cwd is_dir is_file is_regular file_size wildcard last_modified consult
    format_error)a
  # Modules whose code is read; more than that is not understood in time.
  @most 300

  @doc """
  The first of what `roots` of `module` reach that acts outside, `{:calls, mfa}`; `:unknown` where too much is reached, nil for nothing.
  `new` gives the new code of modules that change, as a `.beam`, nil for others.
  """
  @spec acts(module, [{atom, arity}], (module -> binary | nil)) :: {:calls, mfa} | :unknown | nil
  def acts(module, roots, new), do: reach(for({f, a} <- roots, do: {module, f, a}), new, %{}, MapSet.new())

  defp reach([], _new, _codes, _seen), do: nil

  defp reach([{m, f, a} = mfa | rest], new, codes, seen) do
    cond do
      mfa in seen ->
        reach(rest, new, codes, seen)

      acts?(m, f) ->
        {:calls, mfa}

      not library?(m) ->
        reach(rest, new, codes, seen)

      map_size(codes) > @most ->
        :unknown

      true ->
        codes = Map.put_new_lazy(codes, m, fn -> m |> code(new) |> Map.new(&called/1) end)
        reach(Map.get(codes[m], {f, a}, []) ++ rest, new, codes, MapSet.put(seen, mfa))
    end
  end

  # Only that is kept.
  defp called({function, body}), do: {function, CodeFacts.calls(body) ++ captured(body)}

  # &Module.function/1 is a literal.
  defp captured(body) do
    for op <- body,
        is_tuple(op),
        {:literal, fun} when is_function(fun) <- Tuple.to_list(op),
        {:type, :external} <- [:erlang.fun_info(fun, :type)] do
      info = :erlang.fun_info(fun)
      {info[:module], info[:name], info[:arity]}
    end
  end

  defp acts?(m, _f) when m in @modules, do: true
  defp acts?(m, f) when m in @files, do: f not in @looks
  defp acts?(m, f), do: f in Map.get(@functions, m, [])

  # OTP and Elixir act by what is listed.
  defp library?(module) do
    case :code.which(module) do
      [_ | _] = file -> file |> List.to_string() |> Path.dirname() |> Path.dirname() |> origin() == :library
      _ -> true
    end
  end

  defp origin(dir) do
    {app, _vsn} = Release.split(dir)
    Release.origin(app)
  end

  defp code(module, new) do
    with nil <- new.(module),
         [_ | _] = file <- :code.which(module),
         {:ok, beam} <- File.read(file) do
      functions(beam)
    else
      beam when is_binary(beam) -> functions(beam)
      _ -> %{}
    end
  end

  defp functions(beam) do
    case CodeFacts.functions(beam) do
      {:ok, code} -> code
      :error -> %{}
    end
  end
end
